// Package k8s is named by the agent when it lists its providers of addresses.
package k8s

import (
	"errors"
	"log"
)

// Provider has no addresses.
type Provider struct{}

// Addrs says that there is no auto-join.
func (*Provider) Addrs(map[string]string, *log.Logger) ([]string, error) {
	return nil, errors.New("this Consul was built without cloud auto-join")
}

// Help has nothing to explain.
func (*Provider) Help() string { return "" }
