// Cloudflare's authorization server library and its protected resource, under plain Node.js. Its code is that of a
// Worker: what the platform has and Node.js lacks is here, the module cloudflare:workers and a key value store in memory
// that follows the interface of Workers KV. /authorize signs alice in and grants what was requested.
//
// It prints its address as a line of JSON, and ends with its stdin. POST /forget makes it lose its clients.
import * as http from 'node:http'
import {register} from 'node:module'
import {Readable} from 'node:stream'

const platform = `data:text/javascript,${encodeURIComponent('export class WorkerEntrypoint { constructor(ctx, env) { this.ctx = ctx; this.env = env } }')}`
register(`data:text/javascript,${encodeURIComponent(`export const resolve = (name, context, next) =>
  name === 'cloudflare:workers' ? {url: ${JSON.stringify(platform)}, shortCircuit: true} : next(name, context)`)}`)
const {OAuthProvider} = await import('@cloudflare/workers-oauth-provider')

// https://developers.cloudflare.com/kv/api/
class Store {
  values = new Map()

  live(key) {
    const entry = this.values.get(key)
    return entry && entry.ends > Date.now() ? entry : undefined
  }

  async get(key, options) {
    const entry = this.live(key)
    if (!entry) return null
    return (options?.type ?? options) === 'json' ? JSON.parse(entry.value) : entry.value
  }

  async put(key, value, options) {
    const ends = options?.expiration ? options.expiration * 1000 : options?.expirationTtl ? Date.now() + options.expirationTtl * 1000 : Infinity
    this.values.set(key, {value, ends})
  }

  async delete(key) {
    this.values.delete(key)
  }

  async list({prefix = '', limit = 1000, cursor = ''} = {}) {
    const names = [...this.values.keys()].filter(key => key.startsWith(prefix) && key > cursor && this.live(key)).sort()
    const page = names.slice(0, limit)
    const complete = page.length === names.length
    return {keys: page.map(name => ({name})), list_complete: complete, ...(!complete && {cursor: page.at(-1)})}
  }
}

const api = {
  fetch: (request, env, ctx) => Response.json({user: ctx.props.user}),
}

const pages = {
  async fetch(request, env) {
    const url = new URL(request.url)
    if (url.pathname === '/forget') {
      for (const {name} of (await env.OAUTH_KV.list({prefix: 'client:'})).keys) await env.OAUTH_KV.delete(name)
      return new Response(null, {status: 204})
    }
    if (url.pathname !== '/authorize') return new Response('not found', {status: 404})
    try {
      const asked = await env.OAUTH_PROVIDER.parseAuthRequest(request)
      const {redirectTo} = await env.OAUTH_PROVIDER.completeAuthorization({
        request: asked, userId: 'alice', metadata: {}, scope: asked.scope, props: {user: 'alice'},
      })
      return new Response(null, {status: 302, headers: {Location: redirectTo}})
    } catch (error) {
      return error.redirectTo ? Response.redirect(error.redirectTo, 302) : new Response(String(error), {status: 400})
    }
  },
}

const server = http.createServer()
server.listen(0, '127.0.0.1', () => {
  const base = `http://127.0.0.1:${server.address().port}`
  const provider = new OAuthProvider({
    apiRoute: '/mcp', apiHandler: api, defaultHandler: pages,
    authorizeEndpoint: '/authorize', tokenEndpoint: '/oauth/token', clientRegistrationEndpoint: '/oauth/register',
    scopesSupported: ['mcp:read', 'mcp:write', 'offline_access'], requiredScopes: ['mcp:read'],
    resourceMetadata: {resource: `${base}/mcp`, authorization_servers: [base]},
  })
  const env = {OAUTH_KV: new Store()}
  const ctx = {waitUntil: promise => promise.catch(error => console.error(error)), passThroughOnException() {}}
  server.on('request', async (req, res) => {
    const body = req.method === 'GET' || req.method === 'HEAD' ? undefined : Readable.toWeb(req)
    const answer = await provider.fetch(new Request(base + req.url, {method: req.method, headers: req.headers, body, duplex: 'half'}), env, ctx)
    res.writeHead(answer.status, Object.fromEntries(answer.headers))
    res.end(Buffer.from(await answer.arrayBuffer()))
  })
  console.log(JSON.stringify({url: base}))
})
process.stdin.resume().on('end', () => process.exit(0))
