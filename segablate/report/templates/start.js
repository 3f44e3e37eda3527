/* Controls, keys, links, and the small pictures of the gallery. */

function choiceOf(type, id, text, colour) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  Object.assign(input, { type, id: `viewer-${id}` });
  label.append(input);
  if (colour) {
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = colour;
    label.append(swatch);
  }
  label.append(text);
  return [label, input];
}

function buildControls() {
  for (const { key, title } of LAYERS) {
    const [label, input] = choiceOf("radio", `layer-${key}`, title);
    input.name = "layer";
    input.checked = key === state.layer;
    input.addEventListener("change", () => choose(key));
    byId("layers").append(label);
  }
  const [left, right] = sidesOf("map-0").map((key) => LAYERS.find((layer) => layer.key === key).title);
  const [label, input] = choiceOf("checkbox", "swipe", about.runs.length > 1 ? "Swipe A | B" : `Swipe ${left} | ${right}`);
  input.addEventListener("change", () => setSwipe(input.checked));
  byId("layers").append(label);
  about.classes.forEach(({ name, colour }, index) => {
    if (!PRESENT.has(index)) return;
    const [label, input] = choiceOf("checkbox", `class-${index}`, name, colour);
    input.checked = true;
    input.addEventListener("change", () => setClasses((other) => byId(`class-${other}`)?.checked ?? true));
    byId("classes").append(label);
  });
}

function bindControls() {
  byId("previous").addEventListener("click", () => move(-1));
  byId("next").addEventListener("click", () => move(1));
  byId("opacity").addEventListener("input", (event) => setOpacity(event.target.value / 100));
  byId("split").addEventListener("input", (event) => setSplit(event.target.value / 100));
  byId("all-classes").addEventListener("click", () => setClasses(() => true));
  byId("no-classes").addEventListener("click", () => setClasses(() => false));
  byId("clear-pair").addEventListener("click", () => {
    state.pair = null;
    setClasses(() => true);
  });
  const canvas = byId("stage");
  const shareOf = (event) => (event.clientX - canvas.getBoundingClientRect().left) / canvas.clientWidth;
  canvas.addEventListener("pointerdown", (event) => {
    if (!state.swipe) return;
    canvas.setPointerCapture(event.pointerId);
    setSplit(shareOf(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (state.swipe && event.buttons) setSplit(shareOf(event));
    readOut(event, canvas);
  });
  canvas.addEventListener("pointerleave", () => (byId("readout").textContent = ""));
}

function readOut(event, canvas) {
  if (current === null) return;
  const box = canvas.getBoundingClientRect();
  const x = Math.floor(((event.clientX - box.left) / box.width) * current.width);
  const y = Math.floor(((event.clientY - box.top) / box.height) * current.height);
  if (x < 0 || y < 0 || x >= current.width || y >= current.height) return;
  const i = y * current.width + x;
  const label = current.labels[i] < CLASSES ? nameOf(current.labels[i]) : "not labelled";
  const maps = current.maps.map((map, run) => (map === null ? "" : ` · prediction${letter(run)} ${nameOf(map[i])}`));
  byId("readout").textContent = `x ${x}, y ${y} · label ${label}${maps.join("")}`;
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.(".scroll, input[type=range], input[type=radio], details > summary")) {
    if (event.key.startsWith("Arrow")) return; /* these have a use of their own there */
  }
  const actions = {
    ArrowLeft: () => move(-1),
    ArrowRight: () => move(1),
    s: () => setSwipe(!state.swipe),
    "-": () => setOpacity(state.opacity - 0.1),
    "+": () => setOpacity(state.opacity + 0.1),
  };
  const layer = /^[1-9]$/.test(event.key) ? LAYERS[Number(event.key) - 1] : undefined;
  const action = layer ? () => choose(layer.key) : actions[event.key];
  if (action === undefined) return;
  event.preventDefault();
  action();
}

/* Follow a link to an image or a cell; returns whether it is one. */
function follow(link, list) {
  const [, kind, ...numbers] = link.match(/^#(image|cell)-(\d+)(?:-(\d+)-(\d+))?$/) ?? [];
  if (kind === "image") openImage(Number(numbers[0]), list);
  else if (kind === "cell") openCell(...numbers.map(Number));
  return kind !== undefined;
}

function onClick(event) {
  const anchor = event.target.closest?.("a");
  const link = anchor?.getAttribute("href") ?? "";
  if (event.ctrlKey || event.metaKey || !follow(link, about.lists[anchor?.dataset.list])) return;
  event.preventDefault();
  history.replaceState(null, "", link);
  byId("box").scrollIntoView({ block: "start" });
  byId("picture-name").focus({ preventScroll: true });
}

/* Small pictures are painted when they come into view. */
function watchGallery() {
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      const index = Number(target.closest("a").getAttribute("href").replace("#image-", ""));
      pictureOf(index).then((picture) => {
        const key = picture.maps.length > 1 && picture.maps[0] && picture.maps[1] ? "changes" : "errors-0";
        const drawn = picture.maps[0] ? key : "labels";
        paintLayer(target.getContext("2d"), picture, drawn, () => true, 0.85);
      }, () => {});
    }
  });
  document.querySelectorAll(".gallery canvas").forEach((canvas) => watcher.observe(canvas));
}

function start() {
  byId("without").hidden = true;
  byId("box").hidden = false;
  buildControls();
  bindControls();
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", onClick);
  window.addEventListener("hashchange", () => follow(location.hash));
  if (!follow(location.hash)) show();
  watchGallery();
}

if (about.lists.length) start();
