// A Vault for tests: the server itself with its engines kv and pki and its login kubernetes, unsealed and in memory.
//
//	vault <address>
//
// It prints its root token once it is ready.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"

	hclog "github.com/hashicorp/go-hclog"
	kubernetes "github.com/hashicorp/vault-plugin-auth-kubernetes"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/logical/pki"
	server "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

func main() {
	logger := hclog.New(&hclog.LoggerOptions{Level: hclog.Error})
	physical := must(inmem.NewInmem(nil, logger))
	engines := map[string]logical.Factory{"kv": kv.Factory, "pki": pki.Factory}
	logins := map[string]logical.Factory{"kubernetes": kubernetes.Factory}
	core := must(vault.NewCore(&vault.CoreConfig{
		Physical:           physical,
		Logger:             logger,
		DisableMlock:       true,
		LogicalBackends:    engines,
		CredentialBackends: logins,
		BuiltinRegistry:    registry{consts.PluginTypeSecrets: engines, consts.PluginTypeCredential: logins},
	}))
	made := must(core.Initialize(context.Background(), &vault.InitParams{
		BarrierConfig:  &vault.SealConfig{SecretShares: 1, SecretThreshold: 1},
		RecoveryConfig: &vault.SealConfig{},
	}))
	must(core.Unseal(made.SecretShares[0]))
	listener := must(net.Listen("tcp", os.Args[1]))
	properties := &vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}}
	fmt.Println(made.RootToken)
	panic(http.Serve(listener, server.Handler.Handler(properties)))
}

// registry names the few plugins that there are; the real one comes with a hundred more.
type registry map[consts.PluginType]map[string]logical.Factory

func (r registry) Get(name string, kind consts.PluginType) (func() (interface{}, error), bool) {
	factory, found := r[kind][name]
	return func() (interface{}, error) { return factory, nil }, found
}

func (r registry) Contains(name string, kind consts.PluginType) bool {
	_, found := r[kind][name]
	return found
}

func (r registry) Keys(kind consts.PluginType) []string {
	names := []string{}
	for name := range r[kind] {
		names = append(names, name)
	}
	return names
}

func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}

func (r registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}
