// An API that verifies its tokens with jose as its documentation shows. It takes the variables that audit gives to the
// command it starts.
import express from 'express';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const { OAUTH_ISSUER: issuer, OAUTH_JWKS_URI: keysAt, OAUTH_AUDIENCE: audience, PORT } = process.env;
const keys = createRemoteJWKSet(new URL(keysAt), { cooldownDuration: 0 });
const app = express();

const needs = (...scopes) => async (req, res, next) => {
  const [, token] = /^bearer (\S+)$/i.exec(req.headers.authorization ?? '') ?? [];
  if (!token) return res.status(401).set('WWW-Authenticate', 'Bearer').end();
  try {
    const { payload } = await jwtVerify(token, keys, { issuer, audience, algorithms: ['ES256'], typ: 'at+jwt', requiredClaims: ['exp', 'sub'] });
    const granted = typeof payload.scope === 'string' ? payload.scope.split(' ') : payload.scope ?? [];
    if (scopes.every((scope) => granted.includes(scope))) return next();
    return res.status(403).set('WWW-Authenticate', `Bearer error="insufficient_scope", scope="${scopes.join(' ')}"`).end();
  } catch {
    return res.status(401).set('WWW-Authenticate', 'Bearer error="invalid_token"').end();
  }
};

app.get('/health', (req, res) => res.send('well'));
app.get('/items', needs('items:read'), (req, res) => res.json([{ id: 1 }]));
app.get('/items/:id', needs('items:read'), (req, res) => (req.params.id === '1' ? res.json({ id: 1 }) : res.status(404).json({ error: 'no such item' })));
app.post('/items', needs('items:write'), express.json(), (req, res) => (req.body?.name ? res.status(201).json({}) : res.status(422).json({ error: 'name is missing' })));
app.get('/me', needs(), (req, res) => res.json({ ok: true }));
app.listen(PORT, '127.0.0.1');
