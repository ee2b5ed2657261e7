// SPDX-License-Identifier: Apache-2.0

package velero

import (
	"context"
	"errors"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// Status asks the server for its version and plugins. The request is left for the server to remove, as Velero's programs do; one that is
// not answered in time is removed here.
func (c Client) Status(ctx context.Context, limit time.Duration) (*velerov1.ServerStatusRequest, error) {
	within, cancel := context.WithTimeoutCause(ctx, limit, errors.New("timed out waiting for server status request to be processed"))
	defer cancel()
	request, err := StatusRequests.Create(within, c, &velerov1.ServerStatusRequest{
		TypeMeta: StatusRequests.TypeMeta(), ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, GenerateName: "velero-cli-"},
	})
	if err != nil {
		return nil, err
	}
	answered, err := StatusRequests.Until(within, c, request.Name, func(r *velerov1.ServerStatusRequest) bool {
		return r.Status.Phase == velerov1.ServerStatusRequestPhaseProcessed
	})
	if err != nil {
		return nil, errors.Join(err, StatusRequests.Delete(ctx, c, request.Name))
	}
	return answered, nil
}
