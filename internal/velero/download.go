// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/object"
)

// DownloadOptions say how the URL that the server gives is read.
type DownloadOptions struct {
	CA       []byte        // PEM of the certificates to trust beside the system's
	Insecure bool          // trust any certificate
	Timeout  time.Duration // for the server to give the URL; 0: for as long as ctx lasts
}

// errorText is how much of an answer that is no file is shown.
const errorText = 2048 // bytes

// Download opens a file of a backup or restore as it is stored (most are gzip). fail.NotFound: there is no such file. The caller closes it.
func (c Client) Download(ctx context.Context, target velerov1.DownloadTarget, o DownloadOptions) (io.ReadCloser, error) {
	what := fmt.Sprintf("download %s of %s", target.Kind, target.Name)
	answer, err := c.address(ctx, target, o.Timeout)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	address := answer.Status.DownloadURL
	by, streams := answer.Annotations[velerov1.AnnotationStream]
	transport, err := transport(o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fail.Errorf(fail.Invalid, "%s: the server gave an address that cannot be used", what) // it is signed: not to be shown
	}
	// The store may unpack what it believes to be packed for the way; the bytes are wanted as they lie there.
	req.Header.Set("Accept-Encoding", "identity")
	if streams {
		transport.DialContext = (&net.Dialer{Timeout: dialTimeout}).DialContext // there is another way
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil && streams && ctx.Err() == nil {
		return c.stream(ctx, what, by, unreachable(err))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, unreachable(err))
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, fail.Errorf(fail.NotFound, "%s: not found", what)
	}
	text, _ := io.ReadAll(io.LimitReader(resp.Body, errorText)) // what could be read is shown
	return nil, fail.Errorf(fail.Denied, "%s: the store answers %s: %s", what, resp.Status, text)
}

// dialTimeout is how long a store may take to be reached where the server can hand out its files.
const dialTimeout = 5 * time.Second

var pods = object.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// stream reads a file through the API server's proxy from the server, which gave the place as "pod:port/path?query". Cause is why the store was not
// asked.
func (c Client) stream(ctx context.Context, what, place string, cause error) (io.ReadCloser, error) {
	pod, rest, ok := strings.Cut(place, "/")
	path, query, _ := strings.Cut(rest, "?")
	values, err := url.ParseQuery(query)
	if !ok || err != nil || !strings.HasPrefix(path, "download/") || strings.Contains(path, "..") {
		return nil, fmt.Errorf("%s: %w", what, cause)
	}
	body, err := c.Cluster.Open(ctx, pods, c.Namespace, pod, "proxy/"+path, values)
	if err != nil {
		return nil, fail.As(fail.Of(err), fmt.Errorf("%s: %w; through the server, which needs the right to get pods/proxy: %w", what, cause, err))
	}
	return body, nil
}

// address asks the server where the file can be read. The request is left for the server to remove, as Velero's programs do.
func (c Client) address(ctx context.Context, target velerov1.DownloadTarget, limit time.Duration) (*velerov1.DownloadRequest, error) {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, limit, errors.New("timed out waiting for download URL"))
		defer cancel()
	}
	request := &velerov1.DownloadRequest{
		TypeMeta:   DownloadRequests.TypeMeta(),
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: requestName(target.Name)},
		Spec:       velerov1.DownloadRequestSpec{Target: target},
	}
	if _, err := DownloadRequests.Create(ctx, c, request); err != nil {
		return nil, err
	}
	answered, err := DownloadRequests.Until(ctx, c, request.Name, func(r *velerov1.DownloadRequest) bool { return r.Status.DownloadURL != "" })
	return answered, err
}

// maxName is the longest name of an object.
const maxName = 253

// requestName is the name and a UUID, as Velero's programs call their requests.
func requestName(name string) string {
	id := uuid.NewString()
	return name[:min(len(name), maxName-len(id)-1)] + "-" + id
}

// unreachable takes the address out of an error of the HTTP client: it carries a signature, and is as good as a password while it is valid.
func unreachable(err error) error {
	var u *url.Error
	if !errors.As(err, &u) {
		return fail.As(fail.Transient, err)
	}
	host := "the store"
	if parsed, err := url.Parse(u.URL); err == nil {
		host = parsed.Host
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(u.Err, &unknown) {
		return fail.Errorf(fail.Denied, "read from %s: %w; give its CA with --cacert FILE", host, u.Err)
	}
	return fail.Errorf(fail.Transient, "read from %s: %w", host, u.Err)
}

func transport(o DownloadOptions) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: o.Insecure} // the user's own flag
	if len(o.CA) == 0 {
		return t, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // a system without certificates has ours
	}
	if !pool.AppendCertsFromPEM(o.CA) {
		return nil, fail.Errorf(fail.Invalid, "the CA has no certificate in PEM form")
	}
	t.TLSClientConfig.RootCAs = pool
	return t, nil
}
