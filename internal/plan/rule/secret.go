// SPDX-License-Identifier: Apache-2.0

package rule

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"hozon.dev/hozon/internal/object"
)

const (
	tokenType      = "kubernetes.io/service-account-token"
	accountName    = "kubernetes.io/service-account.name"
	accountUID     = "kubernetes.io/service-account.uid"
	randomAlphabet = "bcdfghjklmnpqrstvwxz2456789" // of names that Kubernetes generates
)

// generatedToken reports whether a token secret has the name that clusters before 1.24 gave to the one they made for every account.
func generatedToken(name, account string) bool {
	suffix, ok := strings.CutPrefix(name, account+"-token-")
	return ok && len(suffix) == 5 && strings.Trim(suffix, randomAlphabet) == ""
}

func inspectSecret(ref object.Ref, head object.Head, body []byte, t *Traits) error {
	account, ok := head.Annotation(accountName)
	if !ok || !generatedToken(ref.Name, account) {
		return nil
	}
	var s struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return err
	}
	if s.Type == tokenType {
		t.Skip = "token made by the cluster for service account " + account
	}
	return nil
}

// transformSecret empties a token secret, which the target's controller fills under the same name: the old
// token means nothing to another cluster.
func transformSecret(o *unstructured.Unstructured, env Env, t *Taken) error {
	if o.Object["type"] != tokenType {
		return nil
	}
	dropAnnotations(o, accountUID)
	data := find(o.Object, "data")
	if data["token"] != nil {
		t.Created = append(t.Created, "its token is a new one: whoever uses the old one outside of the cluster has to be given the new")
	}
	delete(data, "token")
	delete(data, "ca.crt")
	if to := env.Target(o.GetNamespace()); to != o.GetNamespace() && data["namespace"] != nil {
		data["namespace"] = base64.StdEncoding.EncodeToString([]byte(to))
	}
	return nil
}

// transformServiceAccount drops the reference to the generated token secret, which is left out.
func transformServiceAccount(o *unstructured.Unstructured, _ Env, _ *Taken) error {
	list, _ := o.Object["secrets"].([]any)
	kept := make([]any, 0, len(list))
	for _, e := range list {
		m, _ := e.(map[string]any)
		if name, _ := m["name"].(string); strings.HasPrefix(name, o.GetName()+"-token-") {
			continue
		}
		kept = append(kept, e)
	}
	if len(kept) == 0 {
		delete(o.Object, "secrets")
		return nil
	}
	o.Object["secrets"] = kept
	return nil
}
