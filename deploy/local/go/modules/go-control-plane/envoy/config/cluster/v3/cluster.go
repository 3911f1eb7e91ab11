// Package clusterv3 has the one Envoy message that Consul names outside its Envoy control plane.
package clusterv3

import (
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// OutlierDetection says when Envoy stops sending to an instance.
type OutlierDetection struct {
	Interval                 *durationpb.Duration
	BaseEjectionTime         *durationpb.Duration
	Consecutive_5Xx          *wrapperspb.UInt32Value
	EnforcingConsecutive_5Xx *wrapperspb.UInt32Value
	MaxEjectionPercent       *wrapperspb.UInt32Value
}
