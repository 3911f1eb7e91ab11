// Package discover has what the Consul agent calls of cloud auto-join, and knows no cloud: a
// retry_join of plain addresses never comes here, and one with "provider=" is told why it fails.
package discover

import (
	"fmt"
	"log"
)

// Provider finds the addresses of servers in one cloud.
type Provider interface {
	Addrs(args map[string]string, l *log.Logger) ([]string, error)
	Help() string
}

// Providers are those known from the start: none.
var Providers = map[string]Provider{}

// Discover asks providers.
type Discover struct{}

// Option changes a Discover when it is made.
type Option func(*Discover) error

// New makes a Discover.
func New(...Option) (*Discover, error) { return &Discover{}, nil }

// WithUserAgent is taken and not needed.
func WithUserAgent(string) Option { return func(*Discover) error { return nil } }

// WithProviders is taken and not needed.
func WithProviders(map[string]Provider) Option { return func(*Discover) error { return nil } }

// Names are those of the known providers.
func (*Discover) Names() []string { return nil }

// Addrs says that there is no auto-join.
func (*Discover) Addrs(cfg string, _ *log.Logger) ([]string, error) {
	return nil, fmt.Errorf("this Consul was built without cloud auto-join; give addresses instead of %q", cfg)
}
