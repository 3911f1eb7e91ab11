// Package xdscommon says which Envoys this Consul can configure.
package xdscommon

// EnvoyVersions are none: the service mesh was left out of this build.
var EnvoyVersions []string
