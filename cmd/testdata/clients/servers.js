// Client libraries that run in a server or a program: each logs in at the development server, refreshes where it can,
// calls the API and logs out. Prints one JSON object: by client what happened.
//
//   node servers.js ISSUER API
import { createServer } from 'node:http';
import { Visitor } from './visitor.js';

const [issuer, api] = process.argv.slice(2);
const scope = 'openid profile email offline_access items:read';
const client = { id: 'web', secret: 's3cret' };

const call = async (token) => (await fetch(`${api}/api/items`, { headers: { authorization: `Bearer ${token}` } })).status;
const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
// Whether the user is still logged in: the login page or the consent page comes.
const loggedIn = async (visitor) => {
  const url = `${issuer}/authorize?response_type=code&client_id=web&redirect_uri=${encodeURIComponent('http://127.0.0.1/callback')}&scope=openid&prompt=none`;
  return !new URL((await visitor.request(url)).headers.get('location')).searchParams.get('error')?.includes('login_required');
};

async function listen(app, use) {
  const server = createServer(app);
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const base = `http://127.0.0.1:${server.address().port}`;
  try {
    return await use(base);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const clients = {
  async 'openid-client'() {
    const oidc = await import('openid-client');
    const config = await oidc.discovery(new URL(issuer), client.id, client.secret, undefined, { execute: [oidc.allowInsecureRequests] });
    const visitor = new Visitor();
    const redirect_uri = 'http://127.0.0.1:4711/callback';
    const verifier = oidc.randomPKCECodeVerifier(), state = oidc.randomState(), nonce = oidc.randomNonce();
    const address = oidc.buildAuthorizationUrl(config, {
      redirect_uri, scope, state, nonce, resource: api, code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
    });
    const back = await visitor.open(address.href, { stop: (url) => url.startsWith(redirect_uri) });
    const tokens = await oidc.authorizationCodeGrant(config, new URL(back.url), { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce });
    const refreshed = await oidc.refreshTokenGrant(config, tokens.refresh_token);
    const userinfo = await oidc.fetchUserInfo(config, refreshed.access_token, tokens.claims().sub);
    const items = await oidc.fetchProtectedResource(config, refreshed.access_token, new URL(`${api}/api/items`), 'GET');
    const bye = await visitor.open(oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, post_logout_redirect_uri: 'http://127.0.0.1:4711/bye' }).href, { stop: (url) => url.includes('/bye') });
    await oidc.tokenRevocation(config, refreshed.refresh_token);
    return { user: userinfo.preferred_username, refreshed: refreshed.access_token !== tokens.access_token, api: items.status, loggedOut: bye.url.includes('/bye') && !(await loggedIn(visitor)) };
  },

  async 'Auth.js'() {
    const { ExpressAuth, getSession } = await import('@auth/express');
    const { default: express } = await import('express');
    const config = {
      secret: 'only for the tests, only for the tests', trustHost: true, basePath: '/auth', logger: { error: (e) => console.error(e) },
      providers: [{
        id: 'dev', name: 'dev', type: 'oidc', issuer, clientId: client.id, clientSecret: client.secret, checks: ['pkce', 'state', 'nonce'],
        client: { id_token_signed_response_alg: 'ES256' }, authorization: { params: { scope, resource: api } },
      }],
      callbacks: {
        jwt: ({ token, account }) => (account ? { ...token, access: account.access_token, id: account.id_token } : token),
        session: ({ session, token }) => ({ ...session, access: token.access, id: token.id }),
      },
    };
    const app = express();
    app.use('/auth', ExpressAuth(config)); // in Express 5 the documented '/auth/*' has no numbered parameter
    app.get('/', async (req, res) => res.json(await getSession(req, config)));
    return listen(app, async (base) => {
      const visitor = new Visitor();
      const csrf = async () => (await (await visitor.request(`${base}/auth/csrf`)).json()).csrfToken;
      const response = await visitor.post(`${base}/auth/signin/dev`, { csrfToken: await csrf(), callbackUrl: `${base}/` });
      const page = await visitor.open(`${base}/auth/signin/dev`, { response });
      const session = JSON.parse(page.text);
      const status = await call(session.access);
      await visitor.open(`${base}/auth/signout`, { response: await visitor.post(`${base}/auth/signout`, { csrfToken: await csrf(), callbackUrl: `${base}/` }) });
      await visitor.open(`${issuer}/end-session?id_token_hint=${session.id}`);
      const after = await (await visitor.request(`${base}/`)).json();
      return { user: session.user.name, api: status, loggedOut: after === null && !(await loggedIn(visitor)) };
    });
  },

  async 'express-openid-connect'() {
    const { default: pkg } = await import('express-openid-connect');
    const { default: express } = await import('express');
    const app = express();
    let handler;
    return listen((req, res) => handler(req, res), async (base) => {
      app.use(pkg.auth({
        issuerBaseURL: issuer, baseURL: base, clientID: client.id, clientSecret: client.secret, secret: 'only for the tests, only for the tests',
        authRequired: false, idpLogout: true, idTokenSigningAlg: 'ES256', authorizationParams: { response_type: 'code', scope, resource: api },
      }));
      app.get('/', async (req, res) => {
        if (!req.oidc.isAuthenticated()) return res.json(null);
        const first = req.oidc.accessToken.access_token;
        const { access_token } = await req.oidc.accessToken.refresh();
        res.json({ user: req.oidc.user, refreshed: access_token !== first, api: await call(access_token) });
      });
      handler = app;
      const visitor = new Visitor();
      const session = JSON.parse((await visitor.open(`${base}/login`)).text);
      const after = JSON.parse((await visitor.open(`${base}/logout`)).text);
      return { user: session.user.preferred_username, refreshed: session.refreshed, api: session.api, loggedOut: after === null && !(await loggedIn(visitor)) };
    });
  },

  async 'passport-openidconnect'() {
    const { default: passport } = await import('passport');
    const { Strategy } = await import('passport-openidconnect').then((m) => m.default ?? m);
    const { default: express } = await import('express');
    const { default: session } = await import('express-session');
    const app = express();
    let handler;
    return listen((req, res) => handler(req, res), async (base) => {
      passport.use('dev', new Strategy(
        { issuer, authorizationURL: `${issuer}/authorize`, tokenURL: `${issuer}/token`, userInfoURL: `${issuer}/userinfo`, clientID: client.id, clientSecret: client.secret, callbackURL: `${base}/callback`, scope: ['profile', 'items:read'] },
        (iss, profile, context, idToken, accessToken, refreshToken, done) => done(null, { name: profile.displayName, access: accessToken, id: idToken }),
      ));
      passport.serializeUser((user, done) => done(null, user));
      passport.deserializeUser((user, done) => done(null, user));
      app.use(session({ secret: 'only for the tests', resave: false, saveUninitialized: false }));
      app.use(passport.session());
      app.get('/login', passport.authenticate('dev'));
      app.get('/callback', passport.authenticate('dev', { failureMessage: true }), (req, res) => res.redirect('/'));
      app.get('/logout', (req, res) => req.logout(() => res.redirect('/')));
      app.get('/', (req, res) => res.json(req.user ?? null));
      handler = app;
      const visitor = new Visitor();
      const page = await visitor.open(`${base}/login`);
      const user = JSON.parse(page.text);
      const status = await call(user.access);
      const after = JSON.parse((await visitor.open(`${base}/logout`)).text);
      await visitor.open(`${issuer}/end-session?id_token_hint=${user.id}`);
      return { user: user.name, api: status, loggedOut: after === null && !(await loggedIn(visitor)) };
    });
  },

  async 'MCP SDK'() {
    const { auth } = await import('@modelcontextprotocol/sdk/client/auth.js');
    const redirectUrl = 'http://127.0.0.1:4712/callback';
    const kept = {};
    const visitor = new Visitor();
    const provider = {
      redirectUrl,
      clientMetadata: { client_name: 'MCP test', redirect_uris: [redirectUrl], grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], token_endpoint_auth_method: 'none', scope: 'items:read' },
      clientInformation: () => kept.client, saveClientInformation: (c) => { kept.client = c; },
      tokens: () => kept.tokens, saveTokens: (t) => { kept.tokens = t; },
      codeVerifier: () => kept.verifier, saveCodeVerifier: (v) => { kept.verifier = v; },
      redirectToAuthorization: async (url) => { kept.back = (await visitor.open(url.href, { stop: (next) => next.startsWith(redirectUrl) })).url; },
    };
    const asked = await auth(provider, { serverUrl: api });
    if (asked !== 'REDIRECT') throw new Error(`the first step gave ${asked}`);
    await auth(provider, { serverUrl: api, authorizationCode: new URL(kept.back).searchParams.get('code') });
    const first = kept.tokens.access_token;
    await auth(provider, { serverUrl: api });
    const refreshed = kept.tokens.access_token;
    const status = await call(refreshed);
    await fetch(`${issuer}/revoke`, { method: 'POST', body: new URLSearchParams({ token: kept.tokens.refresh_token, client_id: kept.client.client_id }) });
    return { user: claims(refreshed).sub, refreshed: first !== refreshed, api: status, loggedOut: (await call(refreshed)) === 401 };
  },
};

const results = {};
for (const [name, run] of Object.entries(clients)) {
  try {
    results[name] = await run();
  } catch (error) {
    results[name] = { error: `${error.stack ?? error}${error.cause ? `\ncause: ${error.cause.stack ?? JSON.stringify(error.cause)}` : ''}` };
  }
}
process.stdout.write(JSON.stringify(results));
process.exit(0);
