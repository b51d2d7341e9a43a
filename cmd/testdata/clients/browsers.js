// Client libraries that run in a browser: each logs in at the development server in Chromium, refreshes, calls the API
// from the page and logs out. Prints one JSON object: by client what happened.
//
//   node browsers.js CHROMIUM ISSUER API TLS-ISSUER TLS-API
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const [executablePath, issuer, api, tlsIssuer, tlsAPI] = process.argv.slice(2);
const scope = 'openid profile email offline_access items:read';

// Each page's script ends by setting window.result; before that it goes to the server and comes back.
const pages = {
  'oidc-client-ts': {
    issuer, path: '/oidc/', library: 'oidc-client-ts/dist/browser/oidc-client-ts.min.js',
    script: `
      const manager = new oidc.UserManager({ authority: ${JSON.stringify(issuer)}, client_id: 'spa', redirect_uri: origin + '/oidc/',
        post_logout_redirect_uri: origin + '/oidc/?out', scope: ${JSON.stringify(scope)}, resource: ${JSON.stringify(api)} });
      if (location.search.startsWith('?out')) window.result = { ...JSON.parse(sessionStorage.result), loggedOut: await manager.getUser() === null };
      else if (!new URLSearchParams(location.search).has('code')) await manager.signinRedirect();
      else {
        const user = await manager.signinRedirectCallback();
        const renewed = await manager.signinSilent();
        await keep({ user: user.profile.preferred_username, refreshed: renewed.access_token !== user.access_token, api: await call(renewed.access_token, ${JSON.stringify(api)}) });
        await manager.signoutRedirect();
      }`,
  },
  'keycloak-js': {
    issuer, path: '/keycloak/', library: 'keycloak-js/lib/keycloak.js', module: true,
    script: `
      const keycloak = new Keycloak({ clientId: 'spa', oidcProvider: ${JSON.stringify(issuer)} });
      if (location.search.startsWith('?out')) window.result = { ...JSON.parse(sessionStorage.result), loggedOut: !(await keycloak.init({ checkLoginIframe: false })) };
      else {
        await keycloak.init({ onLoad: 'login-required', checkLoginIframe: false, pkceMethod: 'S256', scope: ${JSON.stringify(scope)}, redirectUri: origin + '/keycloak/' });
        const first = keycloak.token;
        const refreshed = await keycloak.updateToken(-1);
        await keep({ user: keycloak.idTokenParsed.preferred_username, refreshed: refreshed && keycloak.token !== first, api: await call(keycloak.token, ${JSON.stringify(api)}) });
        await keycloak.logout({ redirectUri: origin + '/keycloak/?out' });
      }`,
  },
  'msal-browser': {
    issuer: tlsIssuer, path: '/msal/', library: '@azure/msal-browser/lib/msal-browser.min.js',
    script: `
      const application = await msal.createStandardPublicClientApplication({
        auth: { clientId: 'spa', authority: ${JSON.stringify(tlsIssuer)}, knownAuthorities: [${JSON.stringify(new URL(tlsIssuer).host)}], redirectUri: origin + '/msal/', postLogoutRedirectUri: origin + '/msal/?out' },
        system: { protocolMode: 'OIDC' },
      });
      const scopes = ${JSON.stringify(scope.split(' '))};
      if (location.search.startsWith('?out')) window.result = { ...JSON.parse(sessionStorage.result), loggedOut: application.getAllAccounts().length === 0 };
      else {
        const answer = await application.handleRedirectPromise();
        if (!answer) await application.loginRedirect({ scopes });
        else {
          const renewed = await application.acquireTokenSilent({ scopes, account: answer.account, forceRefresh: true });
          await keep({ user: answer.idTokenClaims.preferred_username, refreshed: renewed.accessToken !== answer.accessToken, api: await call(renewed.accessToken, ${JSON.stringify(tlsAPI)}) });
          await application.logoutRedirect({ account: answer.account, idTokenHint: renewed.idToken });
        }
      }`,
  },
};

const library = (name) => new URL(`node_modules/${name}`, import.meta.url);
const html = (page) => `<!doctype html><meta charset="utf-8"><title>${page.path}</title><link rel="icon" href="data:,">
${page.module ? '' : `<script src="/lib/${page.library}"></script>`}
<script type="module">
${page.module ? `import Keycloak from '/lib/${page.library}';` : ''}
const origin = location.origin;
const call = async (token, api) => (await fetch(api + '/api/items', { headers: { authorization: 'Bearer ' + token } })).status;
const keep = async (result) => { sessionStorage.result = JSON.stringify(result); };
try {${page.script}
} catch (error) { window.result = { error: String(error.stack ?? error) }; }
</script>`;

const app = createServer((request, response) => {
  const { pathname } = new URL(request.url, 'http://127.0.0.1');
  const page = Object.values(pages).find((one) => one.path === pathname);
  if (page) return response.writeHead(200, { 'content-type': 'text/html' }).end(html(page));
  if (!pathname.startsWith('/lib/')) return response.writeHead(404).end();
  response.writeHead(200, { 'content-type': 'text/javascript' }).end(readFileSync(library(pathname.slice(5))));
});
await new Promise((done) => app.listen(0, '127.0.0.1', done));
const origin = `http://127.0.0.1:${app.address().port}`;

async function run(browser, name) {
  const { path, issuer } = pages[name];
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const said = [];
  page.on('console', (message) => said.push(message.text()));
  page.on('pageerror', (error) => said.push(String(error)));
  page.on('requestfailed', (request) => said.push(`${request.url()}: ${request.failure()?.errorText}`));
  page.setDefaultTimeout(20000);
  try {
    await page.goto(origin + path);
    await page.waitForURL((url) => url.href.startsWith(issuer));
    await page.fill('#username', 'alice');
    await page.fill('#password', 'password');
    await page.click('button');
    await page.waitForURL('**/authorize/consent*');
    await page.click('button[value=allow]');
    await page.waitForFunction(() => window.result);
    const result = await page.evaluate(() => window.result);
    return result.error ? { ...result, said } : result;
  } catch (error) {
    return { error: String(error), at: page.url(), said, result: await page.evaluate(() => window.result).catch(() => undefined) };
  } finally {
    await context.close();
  }
}

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
const results = {};
for (const name of Object.keys(pages)) results[name] = await run(browser, name);
await browser.close();
app.closeAllConnections();
app.close();
process.stdout.write(JSON.stringify(results));
