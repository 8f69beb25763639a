'use strict';
// One stage, two of the pictures on it, and four ways to look at them.

const $ = id => document.getElementById(id);
const stage = $('stage'), view = $('view'), plane = $('plane'), handle = $('handle');
const overlay = $('experts');
const pictures = [...plane.querySelectorAll('img')];
const size = { width: +plane.dataset.width, height: +plane.dataset.height };
const MODES = ['slide', 'flicker', 'difference', 'first', 'second'];
const BLINK = 700; // ms; well under what could harm
const LEAST = 0.02, MOST = 64; // screen pixels for one of the picture's
const STEP = 60; // CSS pixels that a key moves the picture
const SLIP = 6; // CSS pixels before a finger means to slide

const state = {
  a: 0, b: 1, mode: 'slide', gain: 4,
  border: 0.5, // of the stage's width
  zoom: 1, x: 0, y: 0, // CSS pixels; x and y of the picture's corner
  fitted: true, flipped: false,
};

const fingers = new Map(); // pointers that are down
let drag = null; // what one of them moves

function clamp(value, low, high) { return Math.min(high, Math.max(low, value)); }

function screen() { return window.devicePixelRatio || 1; }

function fit() {
  const box = stage.getBoundingClientRect();
  const whole = Math.min(box.width / size.width, box.height / size.height);
  state.fitted = true;
  state.zoom = Math.min(whole, Math.max(1 / screen(), 1)); // small pictures are not blown up
  state.x = (box.width - size.width * state.zoom) / 2;
  state.y = (box.height - size.height * state.zoom) / 2;
}

function zoomTo(zoom, atX, atY) {
  const box = stage.getBoundingClientRect();
  const x = atX ?? box.width / 2, y = atY ?? box.height / 2;
  const next = clamp(zoom, LEAST / screen(), MOST / screen());
  state.x = x - (x - state.x) * next / state.zoom;
  state.y = y - (y - state.y) * next / state.zoom;
  state.zoom = next;
  state.fitted = false;
  keepInSight();
  draw();
}

function pan(right, down) {
  state.x -= right * STEP;
  state.y -= down * STEP;
  state.fitted = false;
  keepInSight();
  draw();
}

function keepInSight() {
  const box = stage.getBoundingClientRect(), margin = 40;
  state.x = clamp(state.x, margin - size.width * state.zoom, box.width - margin);
  state.y = clamp(state.y, margin - size.height * state.zoom, box.height - margin);
}

function draw() {
  if (state.fitted) fit();
  const box = stage.getBoundingClientRect(), dots = screen();
  // whole screen pixels, so that the picture's stay sharp
  const x = Math.round(state.x * dots) / dots, y = Math.round(state.y * dots) / dots;
  const transform = `translate(${x}px, ${y}px) scale(${state.zoom})`;
  plane.style.transform = transform;
  if (overlay) overlay.style.transform = transform;
  view.classList.toggle('sharp', state.zoom * dots >= 1.99);

  pictures.forEach((picture, i) => {
    picture.classList.toggle('first', i === state.a);
    picture.classList.toggle('second', i === state.b);
    picture.style.clipPath = '';
  });
  if (state.mode === 'slide') {
    const cut = (state.border * box.width - x) / state.zoom;
    pictures[state.b].style.clipPath = `inset(0 0 0 ${clamp(cut, 0, size.width)}px)`;
    pictures[state.a].style.clipPath =
      `inset(0 ${clamp(size.width - cut, 0, size.width)}px 0 0)`;
  }
  handle.style.left = `${state.border * 100}%`;
  const share = Math.round(state.border * 100);
  handle.setAttribute('aria-valuenow', share);
  handle.setAttribute('aria-valuetext', `${share} % ${pictures[state.a].alt}`);

  const second = state.mode === 'flicker' ? state.flipped : state.mode === 'second';
  const alone = ['flicker', 'first', 'second'].includes(state.mode);
  const held = drag && !drag.border;
  stage.className = [state.mode, state.fitted && 'fitted', alone && (second ? 'showsecond' : 'showfirst'), held && 'held']
    .filter(Boolean).join(' ');
  view.style.filter = state.mode === 'difference' ? `brightness(${state.gain})` : '';

  const [left, right] = $('badges').children;
  left.textContent = pictures[state.a].alt;
  right.textContent = pictures[state.b].alt;
  if (state.mode === 'difference') right.textContent += `, difference x ${state.gain}`;
  for (const button of document.querySelectorAll('[data-mode]'))
    button.setAttribute('aria-pressed', button.dataset.mode === state.mode);
  $('gain').hidden = state.mode !== 'difference';
  $('zoom').value = `${+(state.zoom * dots * 100).toPrecision(3)} %`;
}

// modes

let blinking = 0;
function setMode(mode) {
  state.mode = mode;
  state.flipped = false;
  clearInterval(blinking);
  if (mode === 'flicker' && !matchMedia('(prefers-reduced-motion: reduce)').matches)
    blinking = setInterval(() => { state.flipped = !state.flipped; draw(); }, BLINK);
  draw();
}

function flip() {
  if (state.mode !== 'flicker') { setMode('flicker'); clearInterval(blinking); }
  clearInterval(blinking); // from now on by hand
  state.flipped = !state.flipped;
  draw();
}

document.addEventListener('click', e => {
  const button = e.target.closest('button');
  if (!button) return;
  if (button.dataset.mode === 'flicker' && state.mode === 'flicker') flip();
  else if (button.dataset.mode) setMode(button.dataset.mode);
  if (button.dataset.zoom === 'fit') { state.fitted = true; draw(); }
  else if (button.dataset.zoom === '1') zoomTo(1 / screen());
  else if (button.dataset.zoom) zoomTo(state.zoom * +button.dataset.zoom);
});

for (const [id, key] of [['pick-a', 'a'], ['pick-b', 'b']]) {
  $(id)?.addEventListener('change', e => {
    const other = key === 'a' ? 'b' : 'a', chosen = +e.target.value;
    if (state[other] === chosen) { // they change places
      state[other] = state[key];
      $(`pick-${other}`).value = state[other];
    }
    state[key] = chosen;
    draw();
  });
}
$('by').addEventListener('change', e => { state.gain = +e.target.value; draw(); });

// the pointer: on the handle, or where there is nothing to move, the border; else the picture

function at(e) {
  const box = stage.getBoundingClientRect();
  return { x: e.clientX - box.left, y: e.clientY - box.top, width: box.width };
}

function setBorder(share) {
  state.border = clamp(share, 0, 1);
  draw();
}

stage.addEventListener('pointerdown', e => {
  if (e.button) return;
  stage.setPointerCapture(e.pointerId);
  const here = at(e);
  fingers.set(e.pointerId, here);
  if (fingers.size === 2) { drag = null; return; }
  const near = Math.abs(here.x - state.border * here.width) <= 22;
  const border = state.mode === 'slide' && (near || state.fitted);
  drag = { border, x: here.x - state.x, y: here.y - state.y };
  if (border && e.pointerType === 'touch') drag.from = here.x; // or it scrolls the page
  else if (border) setBorder(here.x / here.width);
  else draw();
});

stage.addEventListener('pointermove', e => {
  const here = at(e);
  read(here);
  const before = fingers.get(e.pointerId);
  if (!before) return;
  if (fingers.size === 2) { // a pinch
    const [other] = [...fingers].filter(([id]) => id !== e.pointerId).map(([, place]) => place);
    const apart = (p, q) => Math.max(1, Math.hypot(p.x - q.x, p.y - q.y));
    const factor = apart(here, other) / apart(before, other);
    fingers.set(e.pointerId, here);
    zoomTo(state.zoom * factor, (here.x + other.x) / 2, (here.y + other.y) / 2);
    return;
  }
  fingers.set(e.pointerId, here);
  if (!drag) return;
  if (drag.border) {
    if (Math.abs(here.x - drag.from) < SLIP) return;
    delete drag.from;
    setBorder(here.x / here.width);
    return;
  }
  state.x = here.x - drag.x;
  state.y = here.y - drag.y;
  state.fitted = false;
  keepInSight();
  draw();
});

for (const ending of ['pointerup', 'pointercancel'])
  stage.addEventListener(ending, e => {
    fingers.delete(e.pointerId);
    drag = null;
    draw();
  });

stage.addEventListener('wheel', e => {
  e.preventDefault();
  const here = at(e), lines = e.deltaMode ? 20 : 1;
  zoomTo(state.zoom * Math.exp(-clamp(e.deltaY * lines, -240, 240) / 400), here.x, here.y);
}, { passive: false });

stage.addEventListener('dblclick', e => {
  const here = at(e);
  if (state.fitted) zoomTo(Math.max(1 / screen(), state.zoom * 4), here.x, here.y);
  else { state.fitted = true; draw(); }
});

// the keyboard

const PANS = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] };
document.addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest('select, input')) return;
  const key = e.key.toLowerCase(), away = PANS[key];
  if (away && e.shiftKey) {
    e.preventDefault();
    pan(...away);
    return;
  }
  const keys = {
    arrowleft: () => setBorder(state.border - 0.01), arrowright: () => setBorder(state.border + 0.01),
    home: () => setBorder(0), end: () => setBorder(1),
    '+': () => zoomTo(state.zoom * 2), '=': () => zoomTo(state.zoom * 2),
    '-': () => zoomTo(state.zoom / 2), 0: () => { state.fitted = true; draw(); },
    1: () => zoomTo(1 / screen()), s: () => setMode('slide'), f: () => setMode('flicker'),
    d: () => setMode('difference'), a: () => setMode('first'), b: () => setMode('second'),
    e: () => $('show-experts')?.click(), ' ': flip,
  };
  if (e.target === handle) { // as every slider's
    keys.arrowdown = keys.arrowleft;
    keys.arrowup = keys.arrowright;
  }
  if (!keys[key] || (e.target.closest('button') && [' ', 'enter'].includes(key))) return;
  if (key === ' ' && stage.getBoundingClientRect().bottom < 100) return; // out of sight: scroll
  e.preventDefault();
  keys[key]();
});

// what stands under the pointer

const pen = Object.assign(document.createElement('canvas'), { width: 1, height: 1 })
  .getContext('2d', { willReadFrequently: true });

function colour(picture, x, y) {
  const scale = picture.naturalWidth / size.width;
  pen.clearRect(0, 0, 1, 1);
  pen.drawImage(picture, Math.floor(x * scale), Math.floor(y * scale), 1, 1, 0, 0, 1, 1);
  return [...pen.getImageData(0, 0, 1, 1).data.slice(0, 3)].join(' ');
}

let reading = 0;
function read(here) {
  const x = Math.floor((here.x - state.x) / state.zoom);
  const y = Math.floor((here.y - state.y) / state.zoom);
  cancelAnimationFrame(reading);
  reading = requestAnimationFrame(() => {
    if (x < 0 || y < 0 || x >= size.width || y >= size.height) { $('readout').textContent = ''; return; }
    const told = [state.a, state.b].map(i => `${pictures[i].alt} ${colour(pictures[i], x, y)}`);
    $('readout').textContent = `column ${x}, row ${y}: ${told.join('; ')}`;
  });
}
stage.addEventListener('pointerleave', () => { $('readout').textContent = ''; });

// the experts

function drawExperts() {
  const block = +$('block').value, colours = overlay.dataset.colours.split(' ');
  for (const cell of overlay.children) {
    const expert = cell.dataset.experts.split(' ')[block + 1];
    cell.querySelector('rect').setAttribute('fill', colours[expert % colours.length]);
    cell.querySelector('text').textContent = expert;
  }
}
if (overlay) {
  $('show-experts').addEventListener('change', e => {
    overlay.toggleAttribute('hidden', !e.target.checked);
    $('legend').hidden = $('block').hidden = !e.target.checked;
  });
  $('block').addEventListener('change', drawExperts);
  drawExperts();
}

$('only').addEventListener('change', e =>
  $('facts').classList.toggle('only', e.target.checked));
new ResizeObserver(draw).observe(stage);
document.body.classList.add('live');
draw();
