module github.com/hashicorp/consul/envoyextensions

go 1.23
