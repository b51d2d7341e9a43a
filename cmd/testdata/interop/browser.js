// A real browser with a person in front of it: opens an authorization URL, signs in and agrees with the keyboard alone,
// and ends on the page at the loopback address. Pictures of what was seen go to a folder.
//
//   node browser.js CHROMIUM URL FOLDER light|dark
import { chromium } from 'playwright-core';

const [executablePath, url, folder, colorScheme] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ colorScheme, viewport: { width: 800, height: 700 } });
  const complaints = [];
  page.on('console', (message) => complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.setDefaultTimeout(15000);
  const picture = (name) => page.screenshot({ path: `${folder}/${name}-${colorScheme}.png` });

  await page.goto(url);
  await picture('login');
  // The caret stands where the user has to type.
  await page.keyboard.type('alice');
  await page.keyboard.press('Tab');
  await page.keyboard.type('password');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/authorize/consent*');
  await picture('consent');
  await page.keyboard.press('Enter');
  await page.waitForURL('http://127.0.0.1:*/callback/done');
  await picture('callback');
  process.stdout.write(JSON.stringify({ title: await page.title(), text: await page.locator('body').innerText(), complaints }));
} finally {
  await browser.close();
}
