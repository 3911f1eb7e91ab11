// Package envoyextensions checks extensions of Envoy, left out of this build.
package envoyextensions

import (
	"errors"

	"github.com/hashicorp/consul/api"
)

// ValidateExtensions refuses any.
func ValidateExtensions(extensions []api.EnvoyExtension) error {
	if len(extensions) > 0 {
		return errors.New("this Consul was built without its service mesh; it knows no Envoy extensions")
	}
	return nil
}
