// The certified authorization server that the Go interop tests log in to.
//
// It listens on a free port of 127.0.0.1, prints {"issuer": "..."} as the one line of its stdout,
// and ends when its stdin closes, so that it cannot outlive the test that started it.
// Everything it knows is in memory; clients come by dynamic registration (application_type "native"
// where the redirect address has a free port); any login name with any password signs in.
//
//   --api URL               a resource server whose access tokens are JWTs (repeatable)
//   --opaque-api URL        a resource server whose access tokens are opaque, so that they can be
//                           introspected and revoked: this server keeps no record of a JWT (repeatable)
//   --access-token-ttl 300  seconds an access token of those lives
//   --dpop-nonce            every DPoP proof must carry the server's nonce (RFC 9449 section 8)
//   --require-par           authorization requests are taken by PAR only (RFC 9126)
//   --fapi                  the FAPI 2.0 security profile: confidential clients by private_key_jwt, pushed requests,
//                           sender-constrained tokens
//   --rotate                a refresh token of any client is replaced at each use, not only a public client's
import * as crypto from 'node:crypto';
import * as http from 'node:http';
import { parseArgs } from 'node:util';

// Notices would otherwise go to stdout; set before the library is loaded.
console.info = () => {};
const { default: Provider, errors } = await import('oidc-provider');

const { values: flags } = parseArgs({
  options: {
    api: { type: 'string', multiple: true, default: [] },
    'opaque-api': { type: 'string', multiple: true, default: [] },
    'access-token-ttl': { type: 'string', default: '300' },
    'dpop-nonce': { type: 'boolean', default: false },
    'require-par': { type: 'boolean', default: false },
    fapi: { type: 'boolean', default: false },
    rotate: { type: 'boolean', default: false },
  },
});
const apiScopes = ['items:read', 'items:write', 'users:delete'];

const privateJWK = (type, options, alg) => {
  const { privateKey } = crypto.generateKeyPairSync(type, options);
  return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig' };
};

const configuration = {
  // RS256 has to be there: it is the default for ID tokens.
  jwks: {
    keys: [
      privateJWK('rsa', { modulusLength: 2048 }, 'RS256'),
      privateJWK('ec', { namedCurve: 'P-256' }, 'ES256'),
    ],
  },
  cookies: { keys: [crypto.randomBytes(32).toString('hex')] },
  scopes: ['openid', 'offline_access', ...apiScopes],
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name'] },
  findAccount: (ctx, sub) => ({
    accountId: sub,
    claims: () => ({ sub, name: sub, email: `${sub}@example.com`, email_verified: true }),
  }),
  clientAuthMethods: [
    'none', 'client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt',
  ],
  clientBasedCORS: () => false,
  features: {
    devInteractions: { enabled: true },
    registration: { enabled: true },
    registrationManagement: { enabled: true },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: flags['require-par'] || flags.fapi },
    dPoP: {
      enabled: true,
      nonceSecret: crypto.randomBytes(32),
      requireNonce: () => flags['dpop-nonce'],
    },
    deviceFlow: { enabled: true },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    revocation: { enabled: true },
    userinfo: { enabled: true },
    rpInitiatedLogout: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo(ctx, resource) {
        const jwt = flags.api.includes(resource);
        if (!jwt && !flags['opaque-api'].includes(resource)) {
          throw new errors.InvalidTarget();
        }
        return {
          scope: apiScopes.join(' '),
          audience: resource,
          accessTokenTTL: Number(flags['access-token-ttl']),
          accessTokenFormat: jwt ? 'jwt' : 'opaque',
          ...(jwt && { jwt: { sign: { alg: 'RS256' } } }),
        };
      },
    },
  },
};
if (flags.fapi) {
  configuration.features.fapi = { enabled: true, profile: '2.0' };
  configuration.clientAuthMethods = ['private_key_jwt'];
}
if (flags.rotate) {
  configuration.rotateRefreshToken = () => true;
}

const server = http.createServer();
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration);
  provider.on('server_error', (ctx, err) => console.error(err));
  server.on('request', provider.callback());
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});

process.stdin.on('end', () => process.exit(0)).resume();
