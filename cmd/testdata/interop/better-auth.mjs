// better-auth with its OAuth provider, and an API that its resource client protects. Users and clients are in memory; the
// pages that an application brings, for the sign-in and the consent, are forms.
//
// It prints its address as a line of JSON, and ends with its stdin. POST /forget makes it lose its clients.
import * as crypto from 'node:crypto'
import * as http from 'node:http'
import {Readable} from 'node:stream'
import {oauthProvider, oauthProviderAuthServerMetadata, oauthProviderOpenIdConfigMetadata} from '@better-auth/oauth-provider'
import {oauthProviderResourceClient} from '@better-auth/oauth-provider/resource-client'
import {memoryAdapter} from 'better-auth/adapters/memory'
import {betterAuth} from 'better-auth'
import {getAuthTables} from 'better-auth/db'
import {jwt} from 'better-auth/plugins'

const scopes = ['openid', 'profile', 'email', 'offline_access', 'items:read']
const user = {name: 'Alice', email: 'alice@example.com', password: 'correct horse battery'}

const makeAuth = (base, resource) => {
  const options = {
    baseURL: base,
    secret: crypto.randomBytes(32).toString('hex'),
    emailAndPassword: {enabled: true},
    rateLimit: {enabled: false},
    telemetry: {enabled: false},
    logger: {level: 'error', log: (level, ...words) => console.error(level, ...words)},
    plugins: [jwt({jwt: {issuer: `${base}/api/auth`}}), oauthProvider({
      loginPage: '/sign-in', consentPage: '/consent', scopes,
      resources: [{identifier: resource, allowedScopes: scopes}], clientRegistrationDefaultResources: [resource],
      allowDynamicClientRegistration: true, allowUnauthenticatedClientRegistration: true,
    })],
  }
  const tables = Object.fromEntries(Object.keys(getAuthTables(options)).map(name => [name, []]))
  return {auth: betterAuth({...options, database: memoryAdapter(tables)}), tables}
}

const form = button => new Response(`<form method="post"><button autofocus>${button}</button></form>`, {headers: {'Content-Type': 'text/html'}})

const server = http.createServer()
server.listen(0, '127.0.0.1', async () => {
  const base = `http://127.0.0.1:${server.address().port}`
  const resource = `${base}/items`
  const {auth, tables} = makeAuth(base, resource)
  const api = oauthProviderResourceClient(auth).getActions()
  await auth.api.signUpEmail({body: user})

  // page sends what a page's script would, and has the browser go where better-auth then sends it.
  const page = (path, body) => async request => {
    const answer = await auth.handler(new Request(`${base}/api/auth${path}`, {
      method: 'POST', body: JSON.stringify({...body, oauth_query: new URL(request.url).search.slice(1)}),
      headers: {'Content-Type': 'application/json', Accept: 'application/json', Origin: base, Cookie: request.headers.get('cookie') ?? ''},
    }))
    const {url} = await answer.clone().json()
    if (!url) return answer
    const headers = new Headers({Location: url})
    for (const cookie of answer.headers.getSetCookie()) headers.append('Set-Cookie', cookie)
    return new Response(null, {status: 303, headers})
  }
  const routes = {
    'GET /.well-known/oauth-authorization-server/api/auth': oauthProviderAuthServerMetadata(auth),
    'GET /api/auth/.well-known/openid-configuration': oauthProviderOpenIdConfigMetadata(auth),
    'GET /.well-known/oauth-protected-resource/items': async () => Response.json(await api.getProtectedResourceMetadata({
      resource, authorization_servers: [`${base}/api/auth`], scopes_supported: ['items:read'],
    })),
    'GET /sign-in': () => form('Sign in'),
    'POST /sign-in': page('/sign-in/email', {email: user.email, password: user.password}),
    'GET /consent': () => form('Allow'),
    'POST /consent': page('/oauth2/consent', {accept: true}),
    'GET /items': async request => {
      const claims = await api.verifyAccessTokenRequest(request, {
        jwksUrl: `${base}/api/auth/jwks`, verifyOptions: {audience: resource, issuer: `${base}/api/auth`}, scopes: ['items:read'],
      })
      return Response.json({user: claims.sub, scope: claims.scope})
    },
    'POST /forget': () => {
      tables.oauthClient.length = 0
      return new Response(null, {status: 204})
    },
  }
  server.on('request', async (req, res) => {
    const body = req.method === 'GET' || req.method === 'HEAD' ? undefined : Readable.toWeb(req)
    const request = new Request(base + req.url, {method: req.method, headers: req.headers, body, duplex: 'half'})
    const route = routes[`${req.method} ${new URL(request.url).pathname}`] ?? auth.handler
    const answer = await Promise.resolve(request).then(route).catch(error => {
      if (!error.statusCode) console.error(error)
      return new Response(JSON.stringify(error.body ?? {}), {status: error.statusCode ?? 500, headers: error.headers})
    })
    for (const cookie of answer.headers.getSetCookie()) res.appendHeader('Set-Cookie', cookie)
    for (const [name, value] of answer.headers) if (name !== 'set-cookie') res.setHeader(name, value)
    res.writeHead(answer.status)
    res.end(Buffer.from(await answer.arrayBuffer()))
  })
  console.log(JSON.stringify({url: base}))
})
process.stdin.resume().on('end', () => process.exit(0))
