package detect

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPlanRows tests each row of the flag table by the tool's own name.
func TestPlanRows(t *testing.T) {
	const strict = " --port 4123 --strictPort --host 127.0.0.1"
	const plain = " --port 4123 --host 127.0.0.1"
	tests := []struct{ in, flags string }{
		{"vite", strict}, {"vite dev", strict}, {"vite serve", strict}, {"vite preview", strict}, {"vite ./site", strict},
		{"vite -l info build", ""}, {"vite --base /x/ build", ""}, {"vite --clearScreen false build", ""}, {"vite --base /x/", strict}, {"vite --clearScreen false", strict},
		{"vite build", ""}, {"vite optimize", ""}, {"vite --help", ""}, {"vite --version", ""}, {"vite build --watch", ""},
		{"vp dev", strict}, {"vp build", ""}, {"vp test", ""}, {"vp --mode dev build", ""}, {"vp --logLevel info dev", strict},
		{"turbo dev", " --env-mode=loose"}, {"turbo run dev --filter web", " --env-mode=loose"}, {"turbo build", ""}, {"turbo dev --env-mode strict", ""}, {"turbo", ""}, {"npx turbo dev", " --env-mode=loose"},
		{"nx serve web", ""}, {"nx build web", ""}, {"concurrently vite api", ""},
		{"react-router dev", strict}, {"react-router build", ""}, {"react-router typegen", ""},
		{"rsbuild dev", plain}, {"rsbuild preview", plain}, {"rsbuild build", ""},
		{"astro dev", plain}, {"astro preview", plain}, {"astro build", ""}, {"astro check", ""},
		{"ng serve", plain}, {"ng s", plain}, {"ng build", ""}, {"ng test", ""}, {"ng generate component x", ""},
		{"nuxt dev", plain}, {"nuxi dev", plain}, {"nuxt build", ""}, {"nuxt generate", ""},
		{"remix dev", plain}, {"remix vite:dev", plain}, {"remix vite:build", ""},
		{"react-native start", plain}, {"react-native run-ios", ""},
		{"vinext dev", plain}, {"vinext build", ""},
		{"vitepress dev docs", plain}, {"vitepress build docs", ""}, {"vitepress preview", plain},
		{"expo start", " --port 4123 --host localhost"}, {"expo", " --port 4123 --host localhost"}, {"expo prebuild", ""}, {"expo start --tunnel", " --port 4123"},
		{"next", " -p 4123 -H 127.0.0.1"}, {"next dev", " -p 4123 -H 127.0.0.1"}, {"next dev --turbo", " -p 4123 -H 127.0.0.1"}, {"next start", " -p 4123 -H 127.0.0.1"}, {"next build", ""}, {"next lint", ""},
		{"storybook dev", " -p 4123 --host 127.0.0.1"}, {"storybook build", ""}, {"start-storybook", " -p 4123 --host 127.0.0.1"},
		{"wrangler dev", " --port 4123 --ip 127.0.0.1"}, {"wrangler pages dev ./out", " --port 4123 --ip 127.0.0.1"}, {"wrangler deploy", ""}, {"wrangler pages deploy", ""},
		{"uvicorn main:app", plain}, {"uvicorn main:app --uds /tmp/s", ""}, {"uvicorn --version", ""},
		{"flask run", plain}, {"flask --app hello run --debug", plain}, {"flask shell", ""}, {"flask run -h 0.0.0.0", " --port 4123"}, {"flask run -h", ""},
		{"django-admin runserver", " 127.0.0.1:4123"}, {"manage.py runserver", " 127.0.0.1:4123"}, {"./manage.py migrate", ""},
		{"rails server", " -p 4123 -b 127.0.0.1"}, {"bin/rails s", " -p 4123 -b 127.0.0.1"}, {"rails console", ""},
		{"php -S", " 127.0.0.1:4123"}, {"php -t public", " -S 127.0.0.1:4123"}, {"php script.php", ""},
		{"php artisan serve", plain}, {"php artisan migrate", ""},
		{"hugo server", " -p 4123 --bind 127.0.0.1"}, {"hugo server -D", " -p 4123 --bind 127.0.0.1"}, {"hugo", ""}, {"hugo new x.md", ""},
		{"python3 -m http.server", " --bind 127.0.0.1 4123"}, {"python -m http.server -d out", " --bind 127.0.0.1 4123"}, {"python -m http.server -b ::1", " 4123"},
		{"fastapi dev main.py", plain}, {"webpack serve", plain}, {"webpack", ""}, {"webpack-dev-server", plain}, {"webpack-dev-server --mode development", plain}, {"parcel", ""}, {"vue-cli-service serve", plain},
		{"docusaurus start", plain}, {"gatsby develop", " -p 4123 -H 127.0.0.1"},
		{"node server.js", ""}, {"go run .", ""}, {"cargo run", ""}, {"deno task dev", ""}, {"make dev", ""},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			p := Plan(tree(), "/u/x", strings.Fields(tt.in), 4123)
			if got, want := strings.Join(p.Args, " "), tt.in+tt.flags; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// TestPlanWebpackSocket checks the flags that make the page's WebSocket go through the
// proxy, for versions of the server that have them.
func TestPlanWebpackSocket(t *testing.T) {
	const plain, socket = " --port 4123 --host 127.0.0.1", " --client-web-socket-url-hostname 0.0.0.0 --client-web-socket-url-port 0"
	for _, tt := range []struct{ version, in, flags string }{
		{"5.2.7", "webpack serve", plain + socket},
		{"5.2.7", "npx webpack-dev-server", plain + socket},
		{"4.15.2", "webpack serve", plain + socket},
		{"3.11.3", "webpack serve", plain},
		{"5.2.7", "webpack serve --client-web-socket-url-port 80", plain},
		{"5.2.7", "webpack build", ""},
		{"5.2.7", "webpack serve --port 3000", socket},
	} {
		f := tree("/u/node_modules/webpack-dev-server/package.json", `{"version":"`+tt.version+`"}`)
		p := Plan(f, "/u/x", strings.Fields(tt.in), 4123)
		if got, want := strings.Join(p.Args, " "), tt.in+tt.flags; got != want {
			t.Errorf("with %s: got %q, want %q", tt.version, got, want)
		}
	}
}

// TestPlanSeesThrough tests each way to call a tool.
func TestPlanSeesThrough(t *testing.T) {
	const vite = "--port 4123 --strictPort --host 127.0.0.1"
	project := tree(
		"/u/x/site/index.html", "",
		"/u/x/build/index.html", "",
		"/u/x/package.json", `{"scripts":{
			"dev":"vite", "start":"next dev", "build":"vite build", "dev:inner":"npm run dev", "dev:pnpm":"pnpm dev", "dev:yarn":"yarn dev",
			"both":"tsc -b && vite --mode dev", "list":"tsc; vite", "piped":"vite | tee log", "bg":"tsc -w & vite", "noted":"vite # a note", "hooked":"vite # x", "prehooked":"tsc", "hash":"# first\nvite --mode a#b", "dashed":"vite -- x",
			"env":"NODE_ENV=dev PORT=3100 vite", "envport":"PORT=3100 node server.js", "cross":"cross-env A=b vite", "quoted":"vite --mode 'a b'",
			"expand":"vite --port $PORT", "fixed":"vite --port 5173", "loop":"npm run loop", "nested":"npm run dev -- --mode x"}}`,
		"/u/x/pnpm-workspace.yaml", "packages:\n  - 'packages/*'\n",
		"/u/x/packages/web/package.json", `{"name":"@acme/web","scripts":{"dev":"astro dev"}}`,
		"/u/x/packages/api/package.json", `{"name":"api","scripts":{"dev":"node server.js"}}`,
	)
	tests := []struct{ in, want string }{
		// runners of programs
		{"npx vite", "npx vite " + vite},
		{"npx vite@7 dev", "npx vite@7 dev " + vite},
		{"npx --yes vite@latest", "npx --yes vite@latest " + vite},
		{"npx -p vite vite", "npx -p vite vite " + vite},
		{"npx -- vite", "npx -- vite " + vite},
		{"npx @angular/cli@18 serve", "npx @angular/cli@18 serve --port 4123 --host 127.0.0.1"},
		{"npx vite build", "npx vite build"},
		{"bunx vite", "bunx vite " + vite},
		{"bunx --bun vite", "bunx --bun vite " + vite},
		{"bun x vite@7", "bun x vite@7 " + vite},
		{"pnpx vite", "pnpx vite " + vite},
		{"pnpm dlx vite", "pnpm dlx vite " + vite},
		{"pnpm exec vite dev", "pnpm exec vite dev " + vite},
		{"pnpm --filter web exec vite", "pnpm --filter web exec vite " + vite},
		{"pnpm --filter=@acme/web exec vite", "pnpm --filter=@acme/web exec vite " + vite},
		{"pnpm --filter elsewhere exec vite", "pnpm --filter elsewhere exec vite " + vite},
		{"pnpm --filter a --filter b exec vite", "pnpm --filter a --filter b exec vite"},
		{"pnpm -r exec vite", "pnpm -r exec vite"},
		{"yarn dlx vite", "yarn dlx vite " + vite},
		{"yarn exec vite", "yarn exec vite " + vite},
		{"yarn vite", "yarn vite " + vite},
		{"yarn run vite", "yarn run vite " + vite},
		{"bun run vite", "bun run vite " + vite},
		{"bun run --bun vite", "bun run --bun vite " + vite},
		{"bun server.ts", "bun server.ts"},
		{"pnpm vite", "pnpm vite " + vite},
		{"npm exec vite", "npm exec vite -- " + vite},
		{"npm exec vite dev", "npm exec vite dev -- " + vite},
		{"npm exec -- vite dev", "npm exec -- vite dev " + vite},
		{"npm x -- vite", "npm x -- vite " + vite},
		{"npm exec vite -- --mode x", "npm exec vite -- --mode x " + vite},
		{"npm install vite", "npm install vite"},
		{"corepack pnpm exec vite", "corepack pnpm exec vite " + vite},
		// scripts
		{"npm run dev", "npm run dev -- " + vite},
		{"npm run dev -- --mode x", "npm run dev -- --mode x " + vite},
		{"npm run dev -w web", "npm run dev -w web -- --port 4123 --host 127.0.0.1"},
		{"npm run dev --workspace=api", "npm run dev --workspace=api"},
		{"npm exec vite -w web", "npm exec vite -w web -- " + vite},
		{"npm run dev --silent", "npm run dev --silent -- " + vite},
		{"npm start", "npm start -- -p 4123 -H 127.0.0.1"},
		{"npm run build", "npm run build"},
		{"npm run missing", "npm run missing"},
		{"npm --prefix packages/web run dev", "npm --prefix packages/web run dev -- --port 4123 --host 127.0.0.1"},
		{"npm -w web run dev", "npm -w web run dev -- --port 4123 --host 127.0.0.1"},
		{"pnpm run dev", "pnpm run dev " + vite},
		{"pnpm dev", "pnpm dev " + vite},
		{"pnpm dev --mode x", "pnpm dev --mode x " + vite},
		{"pnpm dev -- x", "pnpm dev -- x"},
		{"pnpm --filter web dev", "pnpm --filter web dev --port 4123 --host 127.0.0.1"},
		{"pnpm -F api dev", "pnpm -F api dev"},
		{"pnpm -C packages/web dev", "pnpm -C packages/web dev --port 4123 --host 127.0.0.1"},
		{"yarn dev", "yarn dev " + vite},
		{"yarnpkg dev", "yarnpkg dev " + vite},
		{"yarn run dev", "yarn run dev " + vite},
		{"yarn run dev -- --mode x", "yarn run dev -- --mode x " + vite},
		{"yarn workspace @acme/web dev", "yarn workspace @acme/web dev --port 4123 --host 127.0.0.1"},
		{"bun dev", "bun dev " + vite},
		{"bun run dev", "bun run dev " + vite},
		// scripts that call scripts: each manager's "--" in its place
		{"npm run dev:inner", "npm run dev:inner -- -- " + vite},
		{"pnpm dev:inner", "pnpm dev:inner -- " + vite},
		{"yarn dev:inner", "yarn dev:inner -- -- " + vite},
		{"bun run dev:inner", "bun run dev:inner -- -- " + vite},
		{"npm run dev:pnpm", "npm run dev:pnpm -- " + vite},
		{"npm run dev:yarn", "npm run dev:yarn -- " + vite},
		{"npm run nested", "npm run nested -- " + vite},
		{"npm run loop", "npm run loop"},
		// what scripts look like
		{"npm run both", "npm run both -- " + vite},
		{"npm run list", "npm run list -- " + vite},
		{"npm run quoted", "npm run quoted -- " + vite},
		{"npm run cross", "npm run cross -- " + vite},
		{"npm run env", "npm run env -- " + vite},
		{"npm run noted", "sh -c cd '/u/x' && vite " + vite},
		{"npm run noted -- --mode x", "sh -c cd '/u/x' && vite --mode x " + vite},
		{"npm run hooked", "npm run hooked"}, // it has a pre script
		{"npm run hash", "npm run hash -- " + vite},
		{"npm run piped", "npm run piped"},
		{"npm run bg", "npm run bg"},
		{"npm run dashed", "npm run dashed"},
		{"npm run expand", "npm run expand"},
		// interpreters and environments
		{"node node_modules/.bin/vite", "node node_modules/.bin/vite " + vite},
		{"node node_modules/vite/bin/vite.js dev", "node node_modules/vite/bin/vite.js dev " + vite},
		{"node --inspect -r ./x node_modules/@react-router/dev/bin.js dev", "node --inspect -r ./x node_modules/@react-router/dev/bin.js dev " + vite},
		{"node /opt/bin/vite", "node /opt/bin/vite " + vite},
		{"node vite.js", "node vite.js"},
		{"./node_modules/.bin/next dev", "./node_modules/.bin/next dev -p 4123 -H 127.0.0.1"},
		{"deno run -A npm:vite@7", "deno run -A npm:vite@7 " + vite},
		{"python -m flask run", "python -m flask run --port 4123 --host 127.0.0.1"},
		{"python3.12 -u -m uvicorn a:b", "python3.12 -u -m uvicorn a:b --port 4123 --host 127.0.0.1"},
		{"python manage.py runserver", "python manage.py runserver 127.0.0.1:4123"},
		{"python -m django runserver", "python -m django runserver 127.0.0.1:4123"},
		{"uv run flask run", "uv run flask run --port 4123 --host 127.0.0.1"},
		{"uv run --with x uvicorn a:b", "uv run --with x uvicorn a:b --port 4123 --host 127.0.0.1"},
		{"poetry run python manage.py runserver", "poetry run python manage.py runserver 127.0.0.1:4123"},
		{"bundle exec rails s", "bundle exec rails s -p 4123 -b 127.0.0.1"},
		{"ruby bin/rails server", "ruby bin/rails server -p 4123 -b 127.0.0.1"},
		{"env A=b vite", "env A=b vite " + vite},
		{"env -u B A=b vite", "env -u B A=b vite " + vite},
		{"cross-env A=b vite", "cross-env A=b vite " + vite},
		{"dotenv -- vite", "dotenv -- vite " + vite},
		{"dotenv -e .env -- vite dev", "dotenv -e .env -- vite dev " + vite},
		{"dotenvx run -f .env -- vite", "dotenvx run -f .env -- vite " + vite},
		{"doppler run -- npm run dev", "doppler run -- npm run dev -- " + vite},
		{"nice -n 5 vite", "nice -n 5 vite " + vite},
		// a literal "--" ends the flags
		{"vite -- x", "vite " + vite + " -- x"},
		{"npx vite dev -- x", "npx vite dev " + vite + " -- x"},
		// existing flags are kept
		{"vite --port 3000", "vite --port 3000"},
		{"vite --port=3000", "vite --port=3000"},
		{"next -p 3000", "next -p 3000"},
		{"next dev -p=3000", "next dev -p=3000"},
		{"next dev -p3000", "next dev -p3000"},
		{"vite --host", "vite --host --port 4123 --strictPort"},
		{"vite --host 0.0.0.0 --strictPort", "vite --host 0.0.0.0 --strictPort --port 4123"},
		{"next ./site", "next ./site -p 4123 -H 127.0.0.1"},
		{"next build", "next build"}, // although there is a directory called build
		{"npm run fixed", "npm run fixed"},
		{"npm run dev -- --port 3000", "npm run dev -- --port 3000"},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			p := Plan(project, "/u/x", strings.Fields(tt.in), 4123)
			if got := strings.Join(p.Args, " "); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
	shell := Plan(project, "/u/x", []string{"/bin/sh", "-c", "echo a && vite dev"}, 4123)
	if diff := cmp.Diff([]string{"/bin/sh", "-c", "echo a && vite dev " + vite}, shell.Args); diff != "" {
		t.Error(diff)
	}
}

func TestPlanFindsTheGivenPort(t *testing.T) {
	project := tree("/u/x/package.json", `{"scripts":{"fixed":"vite --port 5173","envport":"PORT=3100 node server.js"}}`)
	tests := []struct {
		in   string
		want int
	}{
		{"vite", 0}, {"vite --port 3000", 3000}, {"vite --port=3000", 3000}, {"next -p 3000", 3000}, {"next -p3000", 3000}, {"storybook dev -p 6006", 6006},
		{"npm run fixed", 5173}, {"npm run fixed -- --mode x", 5173}, {"pnpm fixed", 5173}, {"npm run envport", 3100}, {"PORT=3200 node x.js", 3200},
		{"python manage.py runserver 8001", 8001}, {"python manage.py runserver 0.0.0.0:8002", 8002}, {"python manage.py runserver [::1]:8003", 8003},
		{"php -S localhost:8004 -t public", 8004}, {"python -m http.server 8005", 8005}, {"python -m http.server -d x 8006", 8006}, {"python -m http.server -b 127.0.0.1", 0},
		{"hugo server -p 1313", 1313}, {"my-server --port 9000", 9000}, {"docker run -p 3000:80 x", 0}, {"ssh -p 22 host", 0}, {"vite build --port 3000", 0},
		{"next dev -- --port 3000", 0},
	}
	for _, tt := range tests {
		if got := Plan(project, "/u/x", strings.Fields(tt.in), 0).Port; got != tt.want {
			t.Errorf("%s: port %d, want %d", tt.in, got, tt.want)
		}
	}
}

func TestWorkspace(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		want  []string
	}{
		{"pnpm", []string{"/r/pnpm-workspace.yaml", "# c\npackages:\n  - \"apps/*\" # x\n  - lib\n  - '!apps/old'\ncatalog:\n  - y\n", "/r/apps/a/package.json", `{"name":"a"}`, "/r/apps/old/package.json", `{"name":"old"}`, "/r/lib/package.json", `{"name":"lib"}`}, []string{"a", "lib"}},
		{"pnpm in brackets", []string{"/r/pnpm-workspace.yaml", "packages: ['apps/*', lib]\n", "/r/apps/a/package.json", `{"name":"a"}`, "/r/lib/package.json", `{}`}, []string{"a", "lib"}},
		{"npm", []string{"/r/package.json", `{"workspaces":["packages/**"]}`, "/r/packages/x/y/package.json", `{"name":"y"}`, "/r/packages/z/node_modules/n/package.json", `{"name":"n"}`}, []string{"y"}},
		{"yarn's longer form", []string{"/r/package.json", `{"workspaces":{"packages":["./a"]}}`, "/r/a/package.json", `{"name":"a"}`}, []string{"a"}},
		{"pnpm, brackets over lines", []string{"/r/pnpm-workspace.yaml", "packages: [\n  'apps/*', # x\n  \"{lib,more}\",\n]\nx: [y]\n", "/r/apps/a/package.json", `{"name":"a"}`, "/r/lib/package.json", `{"name":"lib"}`}, []string{"a", "lib"}},
		{"exceptions come first", []string{"/r/pnpm-workspace.yaml", "packages:\n  - '!apps/old'\n  - 'apps/*'\n", "/r/apps/a/package.json", `{"name":"a"}`, "/r/apps/old/package.json", `{"name":"old"}`}, []string{"a"}},
		{"braces", []string{"/r/package.json", `{"workspaces":["{apps,{packages,libs}/x}/*","!{apps,libs/x}/old"]}`, "/r/apps/a/package.json", `{"name":"a"}`, "/r/apps/old/package.json", `{"name":"old"}`, "/r/libs/x/b/package.json", `{"name":"b"}`, "/r/packages/x/c/package.json", `{"name":"c"}`}, []string{"a", "b", "c"}},
		{"a brace never closed", []string{"/r/package.json", `{"workspaces":["{a,b","c"]}`, "/r/c/package.json", `{"name":"c"}`}, []string{"c"}},
		{"called like what is built", []string{"/r/package.json", `{"workspaces":["packages/*","deep/**"]}`, "/r/packages/build/package.json", `{"name":"builder"}`, "/r/deep/x/dist/package.json", `{"name":"copy"}`, "/r/deep/x/package.json", `{"name":"x"}`}, []string{"x", "builder"}},
		{"none", []string{"/r/package.json", `{}`}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, packages := workspace(tree(tt.files...), "/r")
			var got []string
			for _, p := range packages {
				got = append(got, p.name)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDevPackages(t *testing.T) {
	f := tree("/r/package.json", `{"workspaces":["*"]}`, "/r/a/package.json", `{"scripts":{"dev":"x"}}`, "/r/b/package.json", `{"scripts":{"dev":"x"}}`, "/r/c/package.json", `{"scripts":{"build":"x"}}`)
	for dir, want := range map[string]int{"/r": 2, "/r/a": 0, "/none": 0} {
		if got := DevPackages(f, dir); got != want {
			t.Errorf("%s: got %d, want %d", dir, got, want)
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add("npm run dev -- --port=1", "vite && x")
	f.Add("sh -c 'a b'", "npm run dev")
	f.Add("env A=b npx -p x y", "'")
	f.Fuzz(func(t *testing.T, line, script string) {
		project := tree("/u/x/package.json", `{"scripts":{"dev":"`+strings.NewReplacer(`"`, "", `\`, "", "\n", " ").Replace(script)+`"}}`)
		args := strings.Fields(line)
		if len(args) == 0 {
			return
		}
		p := Plan(project, "/u/x", args, 4123)
		if len(p.Args) < len(args) || p.Args[0] != args[0] {
			t.Errorf("%q became %q", args, p.Args)
		}
	})
}

// TestPlanNotes checks that there is one note if a server gets no flags, and none if it
// needs none.
func TestPlanNotes(t *testing.T) {
	project := tree("/u/x/package.json", `{"scripts":{"multi":"concurrently \"vite\" \"node api.js\"", "nx":"nx serve web", "turbo":"turbo dev", "echo":"vite && echo done",
		"piped":"vite | tee log", "bg":"vite & tsc -w", "own":"node server.js", "build":"vite build && node server.js", "fixed":"vite --port 3000 | tee log", "lazyturbo":"turbo dev | cat"}}`)
	for _, tt := range []struct{ in, note string }{
		{"npm run multi", "concurrently starts several commands"},
		{"npm run nx", "nx runs its own commands"},
		{"npm run turbo", "added --env-mode=loose"},
		{"npm run echo", "vite cannot be given a port"},
		{"npm run piped", "vite cannot be given a port"},
		{"npm run bg", "vite cannot be given a port"},
		{"npm run own", ""}, {"npm run build", ""}, {"npm run fixed", ""}, {"vite", ""},
	} {
		p := Plan(project, "/u/x", strings.Fields(tt.in), 4123)
		if got := strings.Join(p.Notes, "\n"); !strings.Contains(got, tt.note) || (got == "") != (tt.note == "") || len(p.Notes) > 1 {
			t.Errorf("%s: got the notes %q, want %q", tt.in, p.Notes, tt.note)
		}
	}
}

// TestPlanNx checks that nx gets a port if the server of the target takes one.
func TestPlanNx(t *testing.T) {
	project := tree("/r/nx.json", "{}",
		"/r/apps/web/project.json", `{"name":"web","targets":{"serve":{"executor":"@nx/vite:dev-server"},"dev":{"command":"vite"}}}`,
		"/r/apps/api/project.json", `{"name":"api","targets":{"serve":{"executor":"@nx/js:node"}}}`,
		"/r/libs/deep/site/package.json", `{"name":"@acme/site","scripts":{"dev":"next dev","start":"node server.js"}}`,
		"/r/apps/inferred/package.json", `{"name":"inferred"}`, "/r/apps/inferred/vite.config.ts", "",
	)
	for _, tt := range []struct {
		in     string
		ported bool
	}{
		{"nx serve web", true}, {"nx dev web", true}, {"nx run web:serve:production", true}, {"npx nx serve web", true},
		{"nx serve api", false}, {"nx dev site", true}, {"nx start site", false}, {"nx dev inferred", true}, {"nx serve elsewhere", false}, {"nx build web", false},
	} {
		p := Plan(project, "/r", strings.Fields(tt.in), 4123)
		if got := strings.HasSuffix(strings.Join(p.Args, " "), tt.in+" --port=4123"); got != tt.ported || !tt.ported && len(p.Args) != len(strings.Fields(tt.in)) {
			t.Errorf("%s became %q", tt.in, p.Args)
		}
	}
	if p := Plan(project, "/r", w("nx", "serve", "web", "--port", "3000"), 4123); p.Port != 3000 || len(p.Args) != 5 {
		t.Errorf("a port that is given: %+v", p)
	}
	loose := tree("/r/node_modules/turbo/package.json", `{"version":"1.13.4"}`)
	if p := Plan(loose, "/r/apps/web", w("turbo", "dev"), 4123); len(p.Args) != 2 {
		t.Errorf("turbo 1 got flags: %q", p.Args)
	}
}
