// Plays a recording with asciinema's web player at 100 times the speed, in a page without a browser, and prints the
// duration and the last picture's lines. Usage: node play.mjs FILE; 1 if the player does not take it.
import { JSDOM } from 'jsdom';
import fs from 'fs';

const dom = new JSDOM('<!DOCTYPE html><div id="player"></div>', { pretendToBeVisual: true, url: 'http://localhost/' });
const page = dom.window;

// What a browser has and jsdom has not. Nothing is drawn: the text is in the page.
const nothing = new Proxy(function () {}, {
	get: (_, key) => key === 'measureText' ? () => ({ width: 8 }) : nothing,
	set: () => true,
	apply: () => nothing,
});
page.HTMLCanvasElement.prototype.getContext = () => nothing;
page.Element.prototype.animate = () => ({ play() {}, pause() {}, cancel() {}, finish() {}, addEventListener() {} });
page.matchMedia = () => ({ matches: false, addEventListener() {}, removeEventListener() {} });
page.ResizeObserver = class { observe() {} unobserve() {} disconnect() {} };
globalThis.window = page;
for (const name of ['document', 'HTMLElement', 'Element', 'SVGElement', 'Node', 'Event', 'CustomEvent', 'ResizeObserver',
	'MutationObserver', 'customElements', 'getComputedStyle', 'requestAnimationFrame', 'cancelAnimationFrame'])
	globalThis[name] = page[name];

function fail(why) {
	console.error(String(why));
	process.exit(1);
}
process.on('unhandledRejection', fail);
process.on('uncaughtException', fail);

const { create } = await import('asciinema-player');
const silent = { log() {}, debug() {}, info() {}, warn() {}, error: fail };
const player = create({ data: fs.readFileSync(process.argv[2], 'utf8') }, document.getElementById('player'),
	{ logger: silent, speed: 100, fit: false });

player.addEventListener('ended', () => {
	// One frame more: the last picture is drawn in it.
	page.requestAnimationFrame(() => page.requestAnimationFrame(() => {
		console.log(player.getDuration());
		for (const line of document.querySelectorAll('.ap-line'))
			console.log(line.textContent.trimEnd());
		process.exit(0);
	}));
});
setTimeout(() => fail('it did not end in 30 s'), 30000);
await player.play();
