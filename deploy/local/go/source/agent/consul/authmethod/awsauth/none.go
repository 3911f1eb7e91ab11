// Package awsauth registers logins through AWS, left out of this build: asked for, the type is unknown.
package awsauth
