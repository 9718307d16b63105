package control

import (
	"context"
	"time"

	"github.com/hostless/hostless/pkg/audit"
	"github.com/hostless/hostless/pkg/secret"
)

// The stores that the server administers. Implementations must be safe for concurrent use,
// return a *fault.Error for what a client can act on, and return from a change only after
// it has been written.

// Tokens is what the server needs of the token store.
type Tokens interface {
	// Mint creates a token. A token with Lease is not persisted and is valid as long as its
	// lease.
	Mint(ctx context.Context, req MintRequest) (Token, error)
	// Restore makes a token valid again that a lease's client has from before a restart.
	// The error is fault.Unauthenticated for a revoked one.
	Restore(ctx context.Context, old Secret, req MintRequest) (Token, error)
	// Refresh extends a token by its original lifetime.
	Refresh(ctx context.Context, ref Secret) (expiresIn time.Duration, err error)
	// Revoke revokes a token, given whole or by a unique prefix, and ends its streams.
	Revoke(ctx context.Context, ref Secret) error
	// Release ends the token of a lease and its streams. Unlike a revoked token it can be
	// restored.
	Release(ctx context.Context, token Secret) error
	// RevokeBound revokes all tokens bound to the hostname, except keep and those of
	// leases.
	RevokeBound(ctx context.Context, hostname string, keep Secret) error
	// List returns the live tokens.
	List(ctx context.Context) ([]TokenInfo, error)
}

// MintRequest is a TokenRequest with the fields that the daemon sets.
type MintRequest struct {
	TokenRequest
	Bound string // the hostname of the token's route, or ""
	Lease bool   // never written to disk

	Parents []secret.String // tokens whose rate limits apply too
}

// Routes is what the server needs of the route table. Its results have no token: the server
// creates that.
type Routes interface {
	List(ctx context.Context) ([]Route, error)
	// Register adds or replaces a route. Unless req.Force is set, the error is
	// fault.Conflict, with the owner, for a name with a live owner.
	Register(ctx context.Context, req RouteRequest) (Registered, error)
	// Deregister removes a route. The error is fault.NotFound if there is none, and
	// fault.Conflict if a live run holds it.
	Deregister(ctx context.Context, name RouteName) (Removed, error)
	// Lease adds a route that exists until the lease is released.
	Lease(ctx context.Context, req RouteRequest) (RouteLease, error)
}

// RouteLease is a route held by an open control connection.
type RouteLease interface {
	// Registered returns the route. Its LeaseID is unique in this daemon.
	Registered() Registered
	// Events returns a channel with the events for the client. It is closed when the
	// daemon has ended the lease.
	Events() <-chan LeaseEvent
	// Update records the client's report about its child.
	Update(ctx context.Context, u LeaseUpdate) error
	// Release ends the lease and its route. It may be called twice.
	Release()
}

// Keys is what the server needs of the key store.
type Keys interface {
	List(ctx context.Context) ([]KeyInfo, error)
	// Put stores a key or reference. Fields of an existing entry that the request leaves
	// out are kept.
	Put(ctx context.Context, provider string, req KeyRequest) (KeyStored, error)
	// Delete removes a provider's entry with a label, or all of them, and returns their
	// labels; none is fault.NotFound.
	Delete(ctx context.Context, provider, label string, all bool) (labels []string, err error)
	// Migrate moves all keys to another storage.
	Migrate(ctx context.Context, req MigrateRequest) (Migrated, error)
	// Unlock opens the vault with the keychain, which may ask the user, or with the
	// passphrase.
	Unlock(ctx context.Context, req UnlockRequest) error
	Lock(ctx context.Context) error
}

// Settings is what the server needs of config.json.
type Settings interface {
	Values(ctx context.Context) (ConfigValues, error)
	// Patch changes all of the given values or none.
	Patch(ctx context.Context, values ConfigValues) error
	Origins(ctx context.Context) ([]string, error)
	// AddOrigin adds an origin. It is no error if it already exists.
	AddOrigin(ctx context.Context, origin string) error
	// RemoveOrigin removes an origin. The error is fault.NotFound if there is none.
	RemoveOrigin(ctx context.Context, origin string) error
	// Commands lists the programs that cmd:// references may run, by name.
	Commands(ctx context.Context) ([]Command, error)
	SetCommand(ctx context.Context, c Command) error
	// RemoveCommand removes a program. The error is fault.NotFound if there is none.
	RemoveCommand(ctx context.Context, name string) error
	// Aliases returns the model aliases, sorted.
	Aliases(ctx context.Context) ([]Alias, error)
	// SetAlias adds or replaces an alias. The error is fault.Conflict for a cycle.
	SetAlias(ctx context.Context, a Alias) error
	// RemoveAlias removes an alias, that of a token if token is not "". The error is
	// fault.NotFound if there is none.
	RemoveAlias(ctx context.Context, token, name string) error
}

// Audit is what the server needs of the audit log.
type Audit interface {
	Append(e audit.Entry) error
	// Tail returns the last n entries, oldest first.
	Tail(n int) ([]audit.Entry, error)
	// Follow calls yield with the last n entries and then each new one.
	Follow(ctx context.Context, n int, yield func(audit.Entry) error) error
}

// Daemon is what the server needs of its process.
type Daemon interface {
	Status(ctx context.Context) (Status, error)
	// Reload reads settings and keys again, as SIGHUP does.
	Reload(ctx context.Context) error
	// Stop starts a graceful shutdown and returns at once. The error of a supervised
	// daemon is fault.Conflict with the command to use instead.
	Stop(ctx context.Context) error
	// Restart starts a successor that takes over the sockets, and returns when it is
	// ready to. This daemon still serves the requests in flight. If the successor does
	// not start, this daemon continues and the error has the reason.
	Restart(ctx context.Context) (Restarted, error)
}
