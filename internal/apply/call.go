// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"errors"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"hozon.dev/hozon/internal/cluster"
	"hozon.dev/hozon/internal/fail"
)

const (
	maxTries   = 5                      // of a call that meets passing faults
	maxRefused = 60                     // of a call that the server puts off with 429
	firstPause = 100 * time.Millisecond // doubled each time
	longest    = 5 * time.Second
	againPause = 500 * time.Millisecond // before a further round; doubled after each in which nothing got on
	maxIdle    = 2                      // of these, before the last round
	maxStarts  = 6                      // the same, while webhooks cannot be called and pods were made, which may be what they wait for
)

// write makes a call that changes something, repeating what the server puts off and what meets a passing fault. repeated says that an
// earlier try may have arrived.
func (r *Run) write(ctx context.Context, kind callKind, call func() ([]byte, error)) (body []byte, repeated bool, err error) {
	pause := firstPause
	for tries, refused := 1, 0; ; {
		start := r.o.Now()
		body, err = call()
		if err == nil {
			r.limit.answered(kind, r.o.Now().Sub(start))
			return body, repeated, nil
		}
		wait := pause
		switch {
		case apierrors.IsTooManyRequests(err):
			r.limit.refused()
			if asked, ok := cluster.RetryAfter(err); ok {
				wait = max(wait, asked)
			}
			if refused++; refused > maxRefused {
				return nil, repeated, err
			}
		case fail.Is(err, fail.Transient) && !admission(err) && !tooLarge(err) && !clash(err):
			repeated = true
			if tries++; tries > maxTries {
				return nil, repeated, err
			}
		default:
			return nil, repeated, err
		}
		if !sleep(ctx, min(wait, longest)) {
			return nil, repeated, context.Cause(ctx)
		}
		pause *= 2
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// message is what the API server said, or the error's text.
func message(err error) string {
	var status *apierrors.StatusError
	if errors.As(err, &status) && status.ErrStatus.Message != "" {
		return status.ErrStatus.Message
	}
	return err.Error()
}

// admission reports whether an admission webhook or policy, or a conversion webhook, stood in the way. Those answer with any code they
// like, so that only the text tells.
func admission(err error) bool {
	text := message(err)
	return strings.Contains(text, "webhook") || strings.Contains(text, "AdmissionPolicy")
}

// starting reports whether a webhook in the cluster could not be called, perhaps because its pods are only coming up.
func starting(err error) bool {
	text := message(err)
	return strings.Contains(text, "failed calling webhook") && (strings.Contains(text, ".svc") || strings.Contains(text, "service"))
}

// passing reports whether a failure may pass when more of the restore is there. What the server found invalid stays so.
func passing(err error) bool {
	return !fail.Is(err, fail.Invalid) || admission(err)
}
