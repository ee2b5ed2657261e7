// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"hozon.dev/hozon/internal/fail"
	"hozon.dev/hozon/internal/store"
)

// StreamPath is where the server hands out files of stores that have no URLs of their own.
const StreamPath = "/download/"

// Streams hands out files by URLs that it has signed itself: those of stores that cannot sign URLs (folders, for one), and of stores that a client cannot
// reach. They are good for as long as this process lives, and ten minutes at most.
type Streams struct {
	*Site
	Stores *Stores
	Base   string // "http://10.0.0.7:8085": where clients reach this process
	Pod    string // "velero-x:8085": where the API server's proxy does; "": not in a pod
	key    [32]byte
}

// NewStreams returns streams with a key of their own.
func NewStreams(s *Stores, base, pod string) *Streams {
	out := &Streams{Site: s.Site, Stores: s, Base: strings.TrimSuffix(base, "/"), Pod: pod}
	_, _ = rand.Read(out.key[:]) // never fails
	return out
}

// wanted is a file that a URL stands for.
type wanted struct {
	location string
	sort     store.Sort
	name     string
	file     store.File
}

func (s *Streams) url(w wanted) string { return s.Base + s.path(w) }

// path is the part of a URL that is good wherever this process is reached.
func (s *Streams) path(w wanted) string {
	path := StreamPath + strings.Join([]string{url.PathEscape(w.location), string(w.sort), url.PathEscape(w.name), url.PathEscape(string(w.file))}, "/")
	expires := strconv.FormatInt(s.Now().Add(downloadLife).Unix(), 10)
	return path + "?expires=" + expires + "&signature=" + s.signature(w, expires)
}

func (s *Streams) signature(w wanted, expires string) string {
	mac := hmac.New(sha256.New, s.key[:])
	fmt.Fprintf(mac, "%q %q %q %q %q", w.location, w.sort, w.name, w.file, expires)
	return hex.EncodeToString(mac.Sum(nil))
}

// ServeHTTP streams a file to whoever has a URL with our signature.
func (s *Streams) ServeHTTP(out http.ResponseWriter, req *http.Request) {
	parts := strings.Split(strings.TrimPrefix(req.URL.EscapedPath(), StreamPath), "/")
	if len(parts) != 4 || req.Method != http.MethodGet {
		http.NotFound(out, req)
		return
	}
	for i := range parts {
		text, err := url.PathUnescape(parts[i])
		if err != nil {
			http.NotFound(out, req)
			return
		}
		parts[i] = text
	}
	w := wanted{parts[0], store.Sort(parts[1]), parts[2], store.File(parts[3])}
	expires := req.URL.Query().Get("expires")
	if !hmac.Equal([]byte(s.signature(w, expires)), []byte(req.URL.Query().Get("signature"))) {
		http.Error(out, "the signature is not ours: another server gave this URL, or it was changed", http.StatusForbidden)
		return
	}
	if until, err := strconv.ParseInt(expires, 10, 64); err != nil || s.Now().After(time.Unix(until, 0)) {
		http.Error(out, "the URL has expired: ask for another one", http.StatusForbidden)
		return
	}
	s.send(out, req, w)
}

func (s *Streams) send(out http.ResponseWriter, req *http.Request, w wanted) {
	_, st, err := s.Stores.at(req.Context(), w.location)
	if err == nil {
		var file io.ReadCloser
		if file, err = st.Open(req.Context(), w.sort, w.name, w.file, 0, -1); err == nil {
			defer file.Close()
			out.Header().Set("Content-Type", "application/octet-stream")
			if _, err := io.Copy(out, file); err != nil {
				s.Log.Warn("a download broke off", "name", w.name, "error", err)
				panic(http.ErrAbortHandler) // the client must not take a part for the whole
			}
			return
		}
	}
	code := http.StatusBadGateway
	if fail.Is(err, fail.NotFound) {
		code = http.StatusNotFound
	}
	http.Error(out, err.Error(), code)
}
