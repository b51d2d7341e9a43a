// The development server's console in a real browser, by the keyboard alone: a login happens while it is open, each step
// appears, a fault is switched on, and the refusal is shown with its id. Pictures go to a folder.
//
//   node console.js CHROMIUM ISSUER API FOLDER light|dark WIDTH
import { createHash, randomBytes } from 'node:crypto';
import { chromium } from 'playwright-core';
import { Visitor } from './visitor.js';

const [executablePath, issuer, api, folder, colorScheme, width] = process.argv.slice(2);
const redirect_uri = 'http://127.0.0.1:4713/callback', client_id = 'oauthctl-dev';

const post = async (path, form) => (await fetch(`${issuer}${path}`, { method: 'POST', body: new URLSearchParams(form) })).json();
const call = async (token) => (await fetch(`${api}/api/items`, { headers: { authorization: `Bearer ${token}` } })).status;

async function login() {
  const code_verifier = randomBytes(32).toString('base64url');
  const code_challenge = createHash('sha256').update(code_verifier).digest('base64url');
  const query = new URLSearchParams({ response_type: 'code', client_id, redirect_uri, scope: 'openid offline_access items:read', state: 's', code_challenge, code_challenge_method: 'S256' });
  const back = await new Visitor().open(`${issuer}/authorize?${query}`, { stop: (url) => url.startsWith(redirect_uri) });
  return post('/token', { grant_type: 'authorization_code', client_id, redirect_uri, code_verifier, code: new URL(back.url).searchParams.get('code') });
}

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ colorScheme, viewport: { width: Number(width), height: 900 } });
  const complaints = [];
  page.on('console', (message) => { if (!message.text().includes('favicon')) complaints.push(message.text()); });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.setDefaultTimeout(15000);
  const picture = (name) => page.screenshot({ path: `${folder}/console-${name}-${colorScheme}-${width}.png` });
  const titles = () => page.locator('#steps .title').allInnerTexts();
  // press moves the focus with the Tab key until the element that has it fits.
  const focus = async (fits) => {
    for (let i = 0; i < 400; i++) {
      if (await page.evaluate(fits)) return;
      await page.keyboard.press('Tab');
    }
    throw new Error(`no Tab leads to ${fits}`);
  };

  await page.goto(`${issuer}/`);
  await page.waitForFunction(() => document.getElementById('live').textContent.startsWith('New requests'));
  const before = await page.locator('#steps > li').count();
  let tokens = await login();
  const good = await call(tokens.access_token);
  await page.waitForFunction(() => [...document.querySelectorAll('#steps .title')].some((one) => one.textContent === 'API request'));
  const shown = (await titles()).slice(before);
  await picture('flow');

  await focus(() => document.activeElement.textContent.trim() === 'Faults');
  await page.keyboard.press('Enter');
  await focus(() => document.activeElement.value === 'expired');
  await page.keyboard.press('Space');
  await focus(() => document.activeElement.tagName === 'BUTTON' && document.activeElement.textContent === 'Apply');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  await page.waitForFunction(() => document.getElementById('live').textContent.startsWith('New requests'));
  const active = await page.locator('#state .active strong').innerText();
  await picture('fault');

  tokens = await post('/token', { grant_type: 'refresh_token', client_id, refresh_token: tokens.refresh_token });
  const bad = await call(tokens.access_token);
  await page.waitForSelector('#steps .refused .id');
  const id = await page.locator('#steps .refused .id').last().innerText();
  await focus(() => document.activeElement.tagName === 'SUMMARY' && document.activeElement.closest('.refused') !== null);
  await page.keyboard.press('Enter');
  const explained = await page.locator('#steps .refused .body').last().innerText();
  await picture('refusal');
  const scrollWidth = await page.evaluate(() => document.documentElement.scrollWidth);

  await focus(() => document.activeElement.tagName === 'BUTTON' && document.activeElement.textContent === 'Switch off');
  await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
  tokens = await post('/token', { grant_type: 'refresh_token', client_id, refresh_token: tokens.refresh_token });
  process.stdout.write(JSON.stringify({ shown, good, active, bad, id, explained, scrollWidth, after: await call(tokens.access_token), complaints }));
} finally {
  await browser.close();
}
