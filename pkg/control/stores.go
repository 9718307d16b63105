package control

import (
	"context"
	"time"

	"github.com/hostless/hostless/pkg/audit"
	"github.com/hostless/hostless/pkg/secret"
)

// The stores that the server administers. Implementations are safe for
// concurrent use, return fault.Error for what a caller can act on, and return
// from a change only when it is as durable as it will get.

// Tokens is the server's need of package token's store.
type Tokens interface {
	// Mint makes a token. Bound names the hostname that it goes with, or "".
	// With Lease it is not persisted: it lives as long as its lease.
	Mint(ctx context.Context, req MintRequest) (Token, error)
	// Restore takes up a token that a lease's client holds from before a restart.
	// A revoked one is fault.Unauthenticated.
	Restore(ctx context.Context, old Secret, req MintRequest) (Token, error)
	// Refresh extends a token by the time it was made for.
	Refresh(ctx context.Context, ref Secret) (expiresIn time.Duration, err error)
	// Revoke ends a token and its streams; a whole one or a unique prefix.
	Revoke(ctx context.Context, ref Secret) error
	// Release ends the token of a lease with its streams. Unlike a revoked one it
	// may be restored.
	Release(ctx context.Context, token Secret) error
	// RevokeBound ends all tokens that were made with that hostname, but for keep
	// where it is one, and those of leases.
	RevokeBound(ctx context.Context, hostname string, keep Secret) error
	// List tells the live tokens.
	List(ctx context.Context) ([]TokenInfo, error)
}

// MintRequest is a TokenRequest with what only the daemon decides.
type MintRequest struct {
	TokenRequest
	Bound string // the hostname that the token goes with, or ""
	Lease bool   // never written to disk

	Parents []secret.String // tokens whose rate limits count too
}

// Routes is the server's need of the apps plane's table. Answers come without
// a token: the server mints it.
type Routes interface {
	List(ctx context.Context) ([]Route, error)
	// Register adds or replaces a route. A name with a live owner is
	// fault.Conflict that says who, unless req.Force.
	Register(ctx context.Context, req RouteRequest) (Registered, error)
	// Deregister removes a route. None is fault.NotFound; one that a live run
	// holds is fault.Conflict.
	Deregister(ctx context.Context, name RouteName) (Removed, error)
	// Lease adds a route that lives until the lease is released.
	Lease(ctx context.Context, req RouteRequest) (RouteLease, error)
}

// RouteLease is a route held by an open control connection.
type RouteLease interface {
	// Registered tells the route; its LeaseID is unique in this daemon.
	Registered() Registered
	// Events yields what the client must learn. It is closed when the lease
	// has ended on the daemon's side.
	Events() <-chan LeaseEvent
	// Update takes the client's word on its child.
	Update(ctx context.Context, u LeaseUpdate) error
	// Release ends the lease and its route. It may be called twice.
	Release()
}

// Keys is the server's need of package keys' store.
type Keys interface {
	List(ctx context.Context) ([]KeyInfo, error)
	// Put stores a key or reference. What the request leaves out of an entry that is
	// there already stays as it is.
	Put(ctx context.Context, provider string, req KeyRequest) (KeyStored, error)
	// Delete removes a provider's entry with a label, or all of them, and returns their
	// labels; none is fault.NotFound.
	Delete(ctx context.Context, provider, label string, all bool) (labels []string, err error)
	// Migrate moves all keys to another storage.
	Migrate(ctx context.Context, req MigrateRequest) (Migrated, error)
	// Unlock waits for the person's keychain, or takes the passphrase.
	Unlock(ctx context.Context, req UnlockRequest) error
	Lock(ctx context.Context) error
}

// Settings is the server's need of config.json.
type Settings interface {
	Values(ctx context.Context) (ConfigValues, error)
	// Patch changes all of the given values or none.
	Patch(ctx context.Context, values ConfigValues) error
	Origins(ctx context.Context) ([]string, error)
	// AddOrigin adds one; an origin already there is no error.
	AddOrigin(ctx context.Context, origin string) error
	// RemoveOrigin removes one; none is fault.NotFound.
	RemoveOrigin(ctx context.Context, origin string) error
	// Commands lists what key references may run, by name.
	Commands(ctx context.Context) ([]Command, error)
	SetCommand(ctx context.Context, c Command) error
	// RemoveCommand removes one; none is fault.NotFound.
	RemoveCommand(ctx context.Context, name string) error
	// Aliases are the names that stand for other models, sorted.
	Aliases(ctx context.Context) ([]Alias, error)
	// SetAlias adds or replaces one. A circle of aliases is fault.Conflict.
	SetAlias(ctx context.Context, a Alias) error
	// RemoveAlias removes one, of a token where that is not ""; none is fault.NotFound.
	RemoveAlias(ctx context.Context, token, name string) error
}

// Audit is the server's need of package audit's log.
type Audit interface {
	Append(e audit.Entry) error
	// Tail gives the last n entries, oldest first.
	Tail(n int) ([]audit.Entry, error)
	// Follow gives the last n entries and then each new one.
	Follow(ctx context.Context, n int, yield func(audit.Entry) error) error
}

// Daemon is the server's need of the process it runs in.
type Daemon interface {
	Status(ctx context.Context) (Status, error)
	// Reload reads settings and keys again, as SIGHUP does.
	Reload(ctx context.Context) error
	// Stop begins a graceful end and returns at once. A supervised daemon
	// refuses with fault.Conflict that names the command to use.
	Stop(ctx context.Context) error
	// Restart starts a successor that takes over the sockets and returns once it
	// is prepared to: what is in flight is still answered by this daemon. Where
	// the successor does not start, this daemon stays and the error says why.
	Restart(ctx context.Context) (Restarted, error)
}
