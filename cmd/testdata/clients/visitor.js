// A person with a browser that runs no scripts: keeps cookies, follows redirects, logs in, agrees, and submits the form
// that an authorization response can be.
export class Visitor {
  cookies = new Map(); // host -> name -> value

  async request(url, options = {}) {
    const host = new URL(url).hostname;
    const jar = this.cookies.get(host) ?? new Map();
    this.cookies.set(host, jar);
    const headers = { ...options.headers };
    if (jar.size > 0) headers.cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ');
    const response = await fetch(url, { ...options, headers, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (/max-age=0|expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name);
      else jar.set(name, value);
    }
    return response;
  }

  post(url, form, headers = {}) {
    return this.request(url, { method: 'POST', body: new URLSearchParams(form), headers: { origin: new URL(url).origin, ...headers } });
  }

  // open goes to a URL and on, until a page has nothing to do or the next address is one that stop accepts, which is
  // returned and not requested. With a first response it goes on from there.
  async open(url, { stop = () => false, response } = {}) {
    for (let hops = 0; hops < 20; hops++) {
      response ??= await this.request(url);
      const location = response.headers.get('location');
      if (location) {
        url = new URL(location, url).href;
        if (stop(url)) return { url };
        response = undefined;
        continue;
      }
      const text = await response.text();
      const form = /<form method="post" action="([^"]*)">([\s\S]*?)<\/form>/.exec(text);
      if (response.status >= 400 || !form) return { url, status: response.status, text };
      const values = Object.fromEntries([...form[2].matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)">/g)].map(([, name, value]) => [name, unescape(value)]));
      if (form[2].includes('name="password"')) Object.assign(values, { username: 'alice', password: 'password' });
      if (form[2].includes('name="decision"')) values.decision = 'allow';
      url = new URL(unescape(form[1]), url).href;
      response = await this.post(url, values);
    }
    throw new Error(`too many redirects, the last to ${url}`);
  }
}

const unescape = (text) => text.replace(/&#34;|&quot;/g, '"').replace(/&#39;/g, "'").replace(/&lt;/g, '<').replace(/&gt;/g, '>').replace(/&amp;/g, '&');
