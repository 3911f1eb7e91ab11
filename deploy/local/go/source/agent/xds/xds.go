// Package xds is Consul's control plane for Envoy, left out of this build. The agent makes a Server
// only where a gRPC port is open, and is told then that no Envoy will be served.
package xds

import (
	"context"

	"github.com/armon/go-metrics/prometheus"
	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"

	"github.com/hashicorp/consul/acl"
	"github.com/hashicorp/consul/agent/grpc-external/limiter"
	"github.com/hashicorp/consul/agent/proxycfg"
	"github.com/hashicorp/consul/agent/structs"
)

// StatsGauges, StatsCounters and StatsSummaries are the metrics of the control plane: none.
var (
	StatsGauges    []prometheus.GaugeDefinition
	StatsCounters  []prometheus.CounterDefinition
	StatsSummaries []prometheus.SummaryDefinition
)

// ProxyWatcher gives the configuration of a proxy as it changes.
type ProxyWatcher interface {
	Watch(proxy structs.ServiceID, node, token string) (
		<-chan *proxycfg.ConfigSnapshot, limiter.SessionTerminatedChan, proxycfg.SrcTerminatedChan, context.CancelFunc, error)
}

// Server serves no Envoy.
type Server struct {
	logger hclog.Logger
}

// NewServer takes what the control plane would need.
func NewServer(_ string, logger hclog.Logger, _ ProxyWatcher, _ func(string) (acl.Authorizer, error), _ any) *Server {
	return &Server{logger: logger}
}

// Register offers no service.
func (s *Server) Register(*grpc.Server) {
	s.logger.Warn("this Consul was built without its service mesh; it configures no Envoy")
}
