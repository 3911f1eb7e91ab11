// Package accesslogs makes Envoy's log configuration, left out of this build.
package accesslogs

import (
	"errors"

	"google.golang.org/protobuf/proto"

	"github.com/hashicorp/consul/agent/structs"
)

// MakeAccessLogs says that there is no service mesh.
func MakeAccessLogs(*structs.AccessLogsConfig, bool) ([]proto.Message, error) {
	return nil, errors.New("this Consul was built without its service mesh")
}
