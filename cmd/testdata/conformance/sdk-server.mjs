// An MCP server made from the TypeScript SDK's own parts: its authorization server, which compares redirect URIs exactly
// and keeps clients in memory, and its bearer middleware. It prints its address as a line of JSON, and ends with its stdin.
// POST /forget makes it lose its clients.
import express from 'express'
import {DemoInMemoryAuthProvider} from '@modelcontextprotocol/sdk/examples/server/demoInMemoryOAuthProvider.js'
import {requireBearerAuth} from '@modelcontextprotocol/sdk/server/auth/middleware/bearerAuth.js'
import {getOAuthProtectedResourceMetadataUrl, mcpAuthRouter} from '@modelcontextprotocol/sdk/server/auth/router.js'

const app = express()
const listener = app.listen(0, '127.0.0.1', () => {
  const base = `http://127.0.0.1:${listener.address().port}`
  const resource = new URL(`${base}/mcp`)
  const provider = new DemoInMemoryAuthProvider(undefined)
  app.use(mcpAuthRouter({provider, issuerUrl: new URL(base), baseUrl: new URL(base), resourceServerUrl: resource, scopesSupported: ['mcp:tools']}))
  app.post('/forget', (_, res) => {
    provider.clientsStore.clients.clear()
    res.sendStatus(204)
  })
  app.post('/mcp', requireBearerAuth({verifier: provider, requiredScopes: ['mcp:tools'], resourceMetadataUrl: getOAuthProtectedResourceMetadataUrl(resource)}), (req, res) => {
    res.json({jsonrpc: '2.0', id: 1, result: {scopes: req.auth.scopes}})
  })
  console.log(JSON.stringify({url: base}))
})
process.stdin.resume().on('end', () => process.exit(0))
