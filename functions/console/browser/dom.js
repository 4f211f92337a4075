// @ts-check

/* The page's elements: found by their data-part, copied from templates, filled with texts and never with markup. */

/** The page's own parts, which stay as long as it does: none is searched for again among thousands of rows. @type {Map<string, Element>} */
const ofPage = new Map();

/**
 * The element with this data-part.
 *
 * @template {Element} T
 * @param {ParentNode} root
 * @param {string} name
 * @param {new () => T} type what it has to be
 * @returns {T}
 */
export function part(root, name, type) {
  const known = root === document ? ofPage.get(name) : undefined;
  const found = known ?? root.querySelector(`[data-part="${name}"]`);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} "${name}"`);
  if (root === document) ofPage.set(name, found);
  return found;
}

/**
 * @param {string} id of a template with one element
 * @returns {HTMLElement}
 */
export function copyOf(id) {
  const template = document.getElementById(id);
  const copy = template instanceof HTMLTemplateElement ? template.content.firstElementChild?.cloneNode(true) : null;
  if (!(copy instanceof HTMLElement)) throw new Error(`the page has no template "${id}"`);
  return copy;
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, className = "", text = "") {
  const made = document.createElement(tag);
  if (className !== "") made.className = className;
  if (text !== "") made.textContent = text;
  return made;
}

/**
 * Sets a text only when it differs, so that screen readers and selections are left alone.
 * @param {Element} target
 * @param {string} text
 */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** How long a button asks whether it is meant. */
const confirmMs = 5000;

/**
 * Acts at the second click: the first one makes the button ask, for a few seconds.
 * @param {HTMLButtonElement} button
 * @param {() => string} question
 * @param {() => void} action
 */
export function onSureClick(button, question, action) {
  let timer = 0;
  const before = () => {
    window.clearTimeout(timer);
    timer = 0;
    setText(button, button.dataset.text ?? "");
    delete button.dataset.text;
  };
  button.addEventListener("click", () => {
    if (timer !== 0) {
      before();
      action();
      return;
    }
    button.dataset.text = button.textContent ?? "";
    setText(button, question());
    timer = window.setTimeout(before, confirmMs);
  });
}

/** Sets a button's text unless it is asking just now. @param {HTMLButtonElement} button @param {string} text */
export function setLabel(button, text) {
  if (button.dataset.text === undefined) setText(button, text);
  else button.dataset.text = text;
}

/**
 * Shows a text, or hides the element when there is none.
 * @param {HTMLElement} target
 * @param {string} text
 */
export function showText(target, text) {
  setText(target, text);
  target.hidden = text === "";
}

/**
 * Makes the children of `parent` those of `items`, in order. Elements of items that stay are kept, with their focus,
 * pictures and animations.
 *
 * @template Item
 * @param {Element} parent
 * @param {readonly Item[]} items
 * @param {{ key: (item: Item) => string, make: (item: Item) => HTMLElement, update?: (element: HTMLElement, item: Item) => void }} how
 */
export function reconcile(parent, items, { key, make, update }) {
  const present = new Map([...parent.children].map((child) => [child.getAttribute("data-key"), child]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const name = key(item);
    const known = present.get(name);
    const child = known instanceof HTMLElement ? known : make(item);
    present.delete(name);
    child.setAttribute("data-key", name);
    update?.(child, item);
    if (child === place) place = place.nextElementSibling;
    else parent.insertBefore(child, place);
  }
  for (const left of present.values()) left.remove();
}
