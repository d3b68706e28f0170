/** Runs in the browser, before the page's own script: what the tests of the page ask of it. */
document.addEventListener('securitypolicyviolation', (event) =>
  window.complain(`policy: ${event.violatedDirective} ${event.blockedURI}`),
);

window.probe = {
  /** When an event was told by the server, and when it stood in the document. */
  waitForEvent: (event) =>
    new Promise((resolve) => {
      const list = document.getElementById('events');
      const observer = new MutationObserver(() => {
        const item = list.querySelector(`[data-event="${event}"]`);
        if (item === null) return;
        observer.disconnect();
        const atMs = Date.parse(item.querySelector('time').dateTime);
        resolve({ atMs, seenMs: Date.now(), text: item.textContent });
      });
      observer.observe(list, { childList: true });
    }),

  /** Pixels of the memory chart that are drawn on. */
  ink() {
    const canvas = document.querySelector('#memory canvas');
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    return data.filter((value, index) => index % 4 === 3 && value > 128).length;
  },

  /** What reaches beyond the right edge. */
  outside() {
    const right = document.documentElement.clientWidth;
    const sticksOut = (element) =>
      element.getBoundingClientRect().right > right + 1 && !element.closest('.skip, legend');
    const elements = [...document.querySelectorAll('main *, header *')].filter(sticksOut);
    const isScrolled = document.documentElement.scrollWidth > right;
    return [
      ...(isScrolled ? ['the page scrolls sideways'] : []),
      ...elements.map((element) => element.outerHTML.slice(0, 90)),
    ];
  },

  /** Texts with less contrast than WCAG asks for (AA, 4.5). */
  weakTexts() {
    const elements = [...document.querySelectorAll('#page *')].filter(
      (element) =>
        [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE) &&
        element.getClientRects().length > 0 &&
        !element.closest('.skip, legend'),
    );
    return elements.flatMap((element) => {
      const text = luminance(rgba(getComputedStyle(element).color));
      const ground = luminance(groundOf(element));
      const contrast = (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
      return contrast < 4.5 ? [`${contrast.toFixed(2)} ${element.outerHTML.slice(0, 90)}`] : [];
    });
  },

  /** What Tab has reached. */
  focused() {
    const { id, name, className } = document.activeElement;
    return id || name || className;
  },

  style: (name, selector = 'html') => getComputedStyle(document.querySelector(selector))[name],
};

// --- internal ---

const pixel = document.createElement('canvas').getContext('2d', { willReadFrequently: true });

/** A canvas knows every way to write a color. */
function rgba(color) {
  pixel.clearRect(0, 0, 1, 1);
  pixel.fillStyle = color;
  pixel.fillRect(0, 0, 1, 1);
  return [...pixel.getImageData(0, 0, 1, 1).data];
}

function luminance(color) {
  const [red, green, blue] = color.map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function groundOf(element) {
  for (let at = element; at !== null; at = at.parentElement) {
    const color = rgba(getComputedStyle(at).backgroundColor);
    if (color[3] === 255) return color;
  }
  return [255, 255, 255];
}
