// SPDX-License-Identifier: Apache-2.0

package plugin

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"hozon.dev/hozon/internal/plugin/wire"
)

// ObjectStore is a plugin that keeps objects in buckets, with its configuration.
type ObjectStore struct {
	name    string
	process *process
	secret  *Secret // alive as long as the configuration that names it
}

// Config is what a plugin gets: the settings of its location, and a credential.
type Config struct {
	Settings   map[string]string
	Credential []byte // of the location's Secret; nil: the plugin looks where its own kind looks
}

// ObjectStore returns the plugin for a provider, which has taken the configuration.
func (f *Folder) ObjectStore(ctx context.Context, provider string, c Config) (*ObjectStore, error) {
	p, err := f.find(ctx, KindObjectStore, provider)
	if err != nil {
		return nil, err
	}
	s := &ObjectStore{name: p.Name}
	s.process, s.secret, err = f.open(p, c, func(settings map[string]string) any {
		return &wire.ObjectStoreInitRequest{Plugin: p.Name, Config: settings}
	})
	if err != nil {
		return nil, err
	}
	_, done, err := s.process.use(ctx)
	if err != nil {
		return nil, s.process.explain("Init", err)
	}
	done()
	return s, nil
}

// credentialsFile is the setting by which plugins get the path of their credential.
const credentialsFile = "credentialsFile"

// open prepares a process that gets a configuration whenever it starts.
func (f *Folder) open(p Plugin, c Config, request func(map[string]string) any) (*process, *Secret, error) {
	settings := maps.Clone(c.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	var secret *Secret
	if c.Credential != nil {
		var err error
		if secret, err = NewSecret(c.Credential); err != nil {
			return nil, nil, err
		}
		settings[credentialsFile] = secret.Path()
	}
	begin := func(ctx context.Context, conn *grpc.ClientConn) error {
		return conn.Invoke(ctx, wire.Method(string(p.Kind), "Init"), request(settings), &wire.Empty{})
	}
	return &process{command: p.Command, args: f.Args, log: f.Log, home: f, begin: begin}, secret, nil
}

func (s *ObjectStore) call(ctx context.Context, name string, request, response any) error {
	return s.process.call(ctx, wire.Method("ObjectStore", name), request, response, true)
}

// Exists says whether there is an object.
func (s *ObjectStore) Exists(ctx context.Context, bucket, key string) (bool, error) {
	var out wire.ObjectExistsResponse
	err := s.call(ctx, "ObjectExists", &wire.ObjectExistsRequest{Plugin: s.name, Bucket: bucket, Key: key}, &out)
	return out.GetExists(), err
}

// List returns the keys that begin with prefix, sorted.
func (s *ObjectStore) List(ctx context.Context, bucket, prefix string) ([]string, error) {
	var out wire.ListObjectsResponse
	err := s.call(ctx, "ListObjects", &wire.ListObjectsRequest{Plugin: s.name, Bucket: bucket, Prefix: prefix}, &out)
	slices.Sort(out.Keys)
	return out.GetKeys(), err
}

// Folders returns what the keys that begin with prefix have up to the next "/", sorted.
func (s *ObjectStore) Folders(ctx context.Context, bucket, prefix string) ([]string, error) {
	var out wire.ListCommonPrefixesResponse
	err := s.call(ctx, "ListCommonPrefixes", &wire.ListCommonPrefixesRequest{Plugin: s.name, Bucket: bucket, Delimiter: "/", Prefix: prefix}, &out)
	slices.Sort(out.Prefixes)
	return out.GetPrefixes(), err
}

// Delete removes an object.
func (s *ObjectStore) Delete(ctx context.Context, bucket, key string) error {
	return s.call(ctx, "DeleteObject", &wire.DeleteObjectRequest{Plugin: s.name, Bucket: bucket, Key: key}, &wire.Empty{})
}

// Sign returns a URL of an object for a while.
func (s *ObjectStore) Sign(ctx context.Context, bucket, key string, ttl time.Duration) (string, error) {
	var out wire.CreateSignedURLResponse
	err := s.call(ctx, "CreateSignedURL", &wire.CreateSignedURLRequest{Plugin: s.name, Bucket: bucket, Key: key, Ttl: int64(ttl)}, &out)
	return out.GetUrl(), err
}

// piece is what goes into one message, as Velero cuts it.
const piece = 16 << 10

// Put stores what write writes. An error of write breaks the upload off, and is returned; what the plugin does then is up to it.
func (s *ObjectStore) Put(ctx context.Context, bucket, key string, write func(io.Writer) error) error {
	method := wire.Method("ObjectStore", "PutObject")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the end of the stream it breaks the upload off
	conn, done, err := s.process.use(ctx)
	if err != nil {
		return s.process.explain(method, err)
	}
	defer done()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, method)
	if err == nil {
		err = stream.SendMsg(&wire.PutObjectRequest{Plugin: s.name, Bucket: bucket, Key: key})
	}
	if err == nil {
		out := &sender{plugin: s.name, stream: stream}
		if broken := write(out); broken != nil && out.err == nil {
			return broken
		}
		if err = out.err; err == nil {
			err = stream.CloseSend()
		}
	}
	if err == nil || errors.Is(err, io.EOF) { // the plugin has ended the call: its answer says why
		err = stream.RecvMsg(&wire.Empty{})
	}
	s.process.answered(conn, err)
	return s.process.explain(method, err)
}

// sender is a writer whose bytes go into a stream of messages.
type sender struct {
	plugin string
	stream grpc.ClientStream
	err    error
}

func (w *sender) Write(p []byte) (n int, err error) {
	for n < len(p) && w.err == nil {
		k := min(piece, len(p)-n)
		if w.err = w.stream.SendMsg(&wire.PutObjectRequest{Plugin: w.plugin, Body: p[n : n+k]}); w.err == nil {
			n += k
		}
	}
	return n, w.err
}

// Get reads an object. That it cannot be had shows here, and not at the first read.
func (s *ObjectStore) Get(ctx context.Context, bucket, key string) (io.ReadCloser, error) {
	method := wire.Method("ObjectStore", "GetObject")
	for again := true; ; again = false {
		r, err := s.get(ctx, method, &wire.GetObjectRequest{Plugin: s.name, Bucket: bucket, Key: key})
		if err == nil || !again || status.Code(err) != codes.Unavailable || ctx.Err() != nil {
			return r, s.process.explain(method, err)
		}
	}
}

func (s *ObjectStore) get(ctx context.Context, method string, request *wire.GetObjectRequest) (io.ReadCloser, error) {
	conn, done, err := s.process.use(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &receiver{process: s.process, conn: conn, method: method, end: func() { cancel(); done() }}
	r.stream, err = conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err == nil {
		err = r.stream.SendMsg(request)
	}
	if err == nil {
		err = r.stream.CloseSend()
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = r.next()
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.process.answered(conn, err)
		r.end()
		return nil, err
	}
	r.err = err
	return r, nil
}

// receiver reads the messages of a stream as bytes.
type receiver struct {
	process *process
	conn    *grpc.ClientConn
	stream  grpc.ClientStream
	method  string
	end     func()
	rest    []byte
	err     error // after rest
}

func (r *receiver) next() error {
	var m wire.Bytes
	err := r.stream.RecvMsg(&m)
	r.rest = m.GetData()
	return err
}

func (r *receiver) Read(p []byte) (int, error) {
	for len(r.rest) == 0 && r.err == nil {
		r.err = r.next()
		if r.err != nil && !errors.Is(r.err, io.EOF) {
			r.process.answered(r.conn, r.err)
			r.err = r.process.explain(r.method, r.err)
		}
	}
	if len(r.rest) == 0 {
		return 0, r.err
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close ends the call, also in the middle.
func (r *receiver) Close() error {
	r.end()
	return nil
}
