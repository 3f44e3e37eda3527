/* The viewer: which picture, which layer, which classes. */

const byId = (id) => document.getElementById(`viewer-${id}`);
const thousands = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, "\u202f");
const nameOf = (index) => (index < CLASSES ? about.classes[index].name : "no class");

/* The classes of the embedded pictures: of many classes a list of all would be long. */
const PRESENT = new Set(
  Object.values(about.images).flatMap((image) => image.cells.flat().flatMap(([label, predicted]) => [label, predicted])),
);
PRESENT.delete(CLASSES);

const state = {
  list: about.lists[0],
  place: 0,
  layer: about.runs.length > 1 ? "changes" : "errors-0",
  swipe: false,
  split: 0.5,
  opacity: 0.7,
  on: new Array(CLASSES + 1).fill(true),
  pair: null,
};
let current = null; /* the decoded picture on the stage */

/* Whether a pixel counts, by its label and prediction: classes that are on, and the confusion that was chosen. */
function filter(label, predicted) {
  if (state.pair !== null && (label !== state.pair[0] || predicted !== state.pair[1])) return false;
  return state.on[label];
}

/* Of a prediction the filter is of the class that is predicted. */
const filterOf = (key) => (ofErrors(key) ? filter : (index) => state.on[index]);

async function show() {
  const index = state.list.images[state.place];
  const picture = await pictureOf(index).catch((error) => ({ error }));
  if (index !== state.list.images[state.place]) return; /* another one was asked for meanwhile */
  if (picture.error) {
    byId("picture-count").textContent = `This picture cannot be read: ${picture.error.message}`;
    return;
  }
  current = picture;
  paint();
  describe();
}

function paint() {
  if (current === null) return;
  const canvas = byId("stage");
  const wide = Math.max(current.width, current.image?.naturalWidth ?? 0);
  const scale = Math.max(wide, Math.min(960, 4 * current.width)) / current.width;
  canvas.width = Math.round(current.width * scale);
  canvas.height = Math.round(current.height * scale);
  canvas.style.width = `${Math.min(960, (0.72 * window.innerHeight * current.width) / current.height)}px`;
  const context = canvas.getContext("2d");
  if (!state.swipe) {
    paintLayer(context, current, state.layer, filterOf(state.layer), state.opacity);
    return;
  }
  const [left, right] = sidesOf(state.layer);
  paintLayer(context, current, left, filterOf(left), state.opacity, 0, state.split);
  paintLayer(context, current, right, filterOf(right), state.opacity, state.split, 1);
  context.fillStyle = "#ffffff";
  context.fillRect(state.split * canvas.width - 1, 0, 2, canvas.height);
}

function describe() {
  const image = about.images[current.index];
  byId("picture-name").textContent = image.name;
  byId("picture-place").textContent = `${state.place + 1} of ${state.list.images.length} · ${state.list.title}`;
  describeCount(image);
  byId("readout").textContent = "";
  const legend = state.swipe ? [] : legendOf(state.layer);
  byId("legend").replaceChildren(...legend.map(([colour, text]) => keyItem(colour, text)));
  byId("pair").hidden = state.pair === null;
  if (state.pair) byId("pair-name").textContent = `Only ${nameOf(state.pair[0])} predicted as ${nameOf(state.pair[1])}.`;
}

function describeCount(image) {
  const line = byId("picture-count");
  const counts = current.maps.map((map) => (map === null ? null : countWrong(current, map, () => true)));
  line.dataset.wrong = JSON.stringify(counts);
  line.dataset.run = JSON.stringify(image.wrong);
  const filtered = state.pair !== null || state.on.some((on) => !on);
  const texts = counts.map((count, run) => {
    const own = image.wrong[run];
    const name = about.runs[run] === "" ? "" : `${about.runs[run]}: `;
    if (count === null) return `${name}no prediction; the run counted ${thousands(own)} wrong`;
    const share = image.labelled ? ` (${((100 * count) / image.labelled).toFixed(2)} %)` : "";
    const chosen = filtered ? `, ${thousands(countWrong(current, current.maps[run], filter))} of them in this choice` : "";
    const other = count === own ? "" : `; the run counted ${thousands(own)}`;
    return `${name}${thousands(count)} wrong${share}${chosen}${other}`;
  });
  line.textContent = `${texts.join(" · ")} of ${thousands(image.labelled)} labelled pixels`;
}

function keyItem(colour, text) {
  const item = document.createElement("li");
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.background = colour;
  item.append(swatch, text);
  return item;
}

function move(step) {
  const count = state.list.images.length;
  state.place = (state.place + step + count) % count;
  show();
}

function choose(key) {
  state.layer = key;
  byId(`layer-${key}`).checked = true;
  paint();
  if (current) describe();
}

function setSwipe(on) {
  state.swipe = on;
  byId("swipe").checked = on;
  byId("split").hidden = !on;
  paint();
  if (current) describe();
}

function setSplit(share) {
  state.split = Math.min(1, Math.max(0, share));
  byId("split").value = Math.round(100 * state.split);
  paint();
}

function setOpacity(share) {
  state.opacity = Math.min(1, Math.max(0, share));
  byId("opacity").value = Math.round(100 * state.opacity);
  paint();
}

function setClasses(chosen) {
  state.on = state.on.map((_, index) => (index < CLASSES ? chosen(index) : true));
  for (const index of PRESENT) byId(`class-${index}`).checked = state.on[index];
  paint();
  if (current) describe();
}

/* Open the picture of an image, in the list it was chosen from. */
function openImage(index, list) {
  const found = list ?? about.lists.find((each) => each.images.includes(index));
  if (!found) return;
  [state.list, state.place] = [found, found.images.indexOf(index)];
  show();
}

/* Open the images in which a cell of a confusion matrix is largest, one after the other. */
function openCell(run, label, predicted) {
  const pixels = (image) => about.images[image].cells[run].find(([a, b]) => a === label && b === predicted)?.[2] ?? 0;
  const images = Object.keys(about.images).map(Number).filter((image) => pixels(image) > 0);
  if (!images.length) return;
  const title = `${nameOf(label)} predicted as ${nameOf(predicted)}${about.runs[run] ? ` in${letter(run)}` : ""}`;
  state.list = { title, images: images.sort((a, b) => pixels(b) - pixels(a)) };
  state.place = 0;
  const hit = label === predicted;
  state.pair = hit ? null : [label, predicted];
  setClasses((index) => !hit || index === label);
  setSwipe(false);
  choose(hit ? `map-${run}` : `errors-${run}`);
  show();
}
