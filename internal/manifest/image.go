// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"net/netip"
	"strings"
)

// splitImage takes the digest, "sha256:…", off an image's name.
func splitImage(image string) (name, digest string) {
	name, digest, _ = strings.Cut(image, "@")
	return name, digest
}

// tagOf is the tag of a name without digest, "" if it has none.
func tagOf(name string) string {
	last := name[strings.LastIndexByte(name, '/')+1:]
	_, tag, _ := strings.Cut(last, ":")
	return tag
}

// registryOf is the host and port of the registry that an image names, "" if it names none.
func registryOf(image string) string {
	host, _, ok := strings.Cut(image, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return ""
	}
	return host
}

// internalRegistry reports whether a registry can hardly be reached from elsewhere: a Service's name, a private address, a name without a domain.
func internalRegistry(registry string) bool {
	host := registry
	if i := strings.LastIndexByte(registry, ':'); i >= 0 {
		host = registry[:i]
	}
	if addr, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return addr.IsPrivate() || addr.IsLoopback() || addr.IsLinkLocalUnicast()
	}
	return registry != "" && (!strings.Contains(host, ".") || strings.HasSuffix(host, ".svc") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".internal"))
}

// ImageMap rewrites images: a key is the beginning of an image's name, up to a slash, tag, digest or the end; the longest that fits counts.
type ImageMap map[string]string

// apply returns the image under its new name.
func (m ImageMap) apply(image string) string {
	best := ""
	for from := range m {
		rest, ok := strings.CutPrefix(image, from)
		whole := rest == "" || strings.HasSuffix(from, "/") || strings.ContainsRune("/:@", rune(rest[0]))
		if ok && whole && len(from) > len(best) {
			best = from
		}
	}
	if best == "" {
		return image
	}
	return m[best] + image[len(best):]
}

// MapImages rewrites all images that an object names.
func (m ImageMap) MapImages(o map[string]any) {
	if len(m) == 0 {
		return
	}
	eachImage(o, func(_ string, in map[string]any, key string) {
		if image, ok := in[key].(string); ok {
			in[key] = m.apply(image)
		}
	})
}

// eachImage calls fn for every field of an object that names an image, with its path.
func eachImage(o map[string]any, fn func(field string, in map[string]any, key string)) {
	containers(o, func(path string, c map[string]any) { fn(path+".image", c, "image") })
	openShiftImages(o, fn)
}
