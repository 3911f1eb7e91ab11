package ca

import (
	"crypto/x509"
	"errors"

	"github.com/hashicorp/go-hclog"

	"github.com/hashicorp/consul/agent/structs"
)

var errNoOutside = errors.New("this Consul was built without Vault and AWS as certificate authorities")

// outside stands where a certificate authority outside of Consul would.
type outside struct{}

// ParseVaultCAConfig refuses any.
func ParseVaultCAConfig(map[string]interface{}, bool) (*structs.VaultCAProviderConfig, error) {
	return nil, errNoOutside
}

// ParseAWSCAConfig refuses any.
func ParseAWSCAConfig(map[string]interface{}) (*structs.AWSCAProviderConfig, error) {
	return nil, errNoOutside
}

// NewVaultProvider gives one that cannot be configured.
func NewVaultProvider(hclog.Logger) Provider { return outside{} }

// NewAWSProvider gives one that cannot be configured.
func NewAWSProvider(hclog.Logger) Provider { return outside{} }

func (outside) Configure(ProviderConfig) error                { return errNoOutside }
func (outside) State() (map[string]string, error)             { return nil, errNoOutside }
func (outside) ActiveLeafSigningCert() (string, error)        { return "", errNoOutside }
func (outside) Sign(*x509.CertificateRequest) (string, error) { return "", errNoOutside }
func (outside) Cleanup(bool, map[string]interface{}) error    { return nil }
func (outside) GenerateCAChain() (string, error)              { return "", errNoOutside }
func (outside) CrossSignCA(*x509.Certificate) (string, error) { return "", errNoOutside }
func (outside) SupportsCrossSigning() (bool, error)           { return false, errNoOutside }
func (outside) GenerateIntermediateCSR() (string, string, error) {
	return "", "", errNoOutside
}
func (outside) SetIntermediate(string, string, string) error { return errNoOutside }
func (outside) SignIntermediate(*x509.CertificateRequest) (string, error) {
	return "", errNoOutside
}
