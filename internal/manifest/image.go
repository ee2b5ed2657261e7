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

// MapImages rewrites the images of all containers of an object.
func (m ImageMap) MapImages(o map[string]any) {
	if len(m) == 0 {
		return
	}
	containers(o, func(_ string, c map[string]any) {
		if image, ok := c["image"].(string); ok {
			c["image"] = m.apply(image)
		}
	})
}
