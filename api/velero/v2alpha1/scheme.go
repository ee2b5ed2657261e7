// SPDX-License-Identifier: Apache-2.0

package v2alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	velerov1 "hozon.dev/hozon/api/velero/v1"
)

// APIVersion is the apiVersion of every kind of this package.
const APIVersion = "velero.io/v2alpha1"

// GroupVersion is the group and version of every kind of this package.
var GroupVersion = schema.GroupVersion{Group: velerov1.Group, Version: "v2alpha1"}

// AddToScheme makes the kinds of this package known to a scheme. The error is always nil; it is there so that
// the function fits a runtime.SchemeBuilder.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &DataUpload{}, &DataUploadList{}, &DataDownload{}, &DataDownloadList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
