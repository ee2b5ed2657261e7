// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"io"

	"k8s.io/apimachinery/pkg/types"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/object"
)

// Target is the cluster that is restored into; *cluster.Client is one.
type Target interface {
	Reader
	Writer
}

// Reader is the part of a Target that a dry run uses.
type Reader interface {
	Get(ctx context.Context, t object.Type, namespace, name string) ([]byte, error)
	List(ctx context.Context, t object.Type, o cluster.ListOptions) (io.ReadCloser, error)
	Watch(ctx context.Context, t object.Type, namespace, resourceVersion string, o cluster.WatchOptions) (*cluster.Watch, error)
}

// Writer is the part of a Target that changes it.
type Writer interface {
	Create(ctx context.Context, t object.Type, namespace string, body []byte, o cluster.WriteOptions) ([]byte, error)
	Update(ctx context.Context, t object.Type, namespace, name string, body []byte, o cluster.WriteOptions) ([]byte, error)
	Delete(ctx context.Context, t object.Type, namespace, name string, o cluster.DeleteOptions) error
	Patch(ctx context.Context, t object.Type, namespace, name string, patch types.PatchType, body []byte, o cluster.WriteOptions) ([]byte, error)
}
