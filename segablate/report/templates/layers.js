/* Layers: what is painted over an image, as colours of its pixels. */

const hex = (colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
const packed = ([red, green, blue], alpha = 255) => ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;

const COLOURS = Uint32Array.from([...about.classes.map((one) => packed(hex(one.colour))), packed([128, 128, 128])]);
/* Not red and green: blue, orange and yellow are told apart with every common colour vision, and by their lightness. */
const WRONG = "#e66100";
const WRONG_BEFORE = "#3584e4";
const WRONG_IN_BOTH = "#ffdd33";
const VOID = "#9a9996";

const letter = (run) => (about.runs[run] === "" ? "" : ` ${about.runs[run]}`);

function layersOf() {
  const runs = about.runs.map((_, run) => run);
  const layers = [
    { key: "image", title: "Image" },
    { key: "labels", title: "Labels" },
    ...runs.map((run) => ({ key: `map-${run}`, title: `Prediction${letter(run)}`, run })),
    ...runs.map((run) => ({ key: `errors-${run}`, title: `Errors${letter(run)}`, run })),
  ];
  if (runs.length > 1) layers.push({ key: "changes", title: `Errors${letter(0)} against${letter(1)}` });
  return layers;
}

const LAYERS = layersOf();

/* What is compared by swiping: predictions or errors of two runs, or the labels and the prediction of one. */
function sidesOf(key) {
  if (about.runs.length < 2) return ["labels", "map-0"];
  const kind = key.startsWith("errors") || key === "changes" ? "errors" : "map";
  return [`${kind}-0`, `${kind}-1`];
}

/* Pixels without a label: stripes, so that they are not taken for right ones. */
const striped = (x, y) => (x + y) % 6 < 2;

/* A function of (pixel, x, y) that returns its packed colour, 0 for none; null where the layer has no data. */
function painter(picture, key, filter) {
  const { labels, maps } = picture;
  const [kind, run] = key.split("-");
  const wrong = (map, i) => labels[i] !== map[i] && filter(labels[i], map[i]);
  const empty = packed(hex(VOID), 150);
  if (kind === "labels") return (i) => (labels[i] < CLASSES && filter(labels[i], labels[i]) ? COLOURS[labels[i]] : 0);
  if (kind === "map" && maps[run]) {
    const map = maps[run];
    return (i) => (filter(map[i], map[i]) ? COLOURS[map[i]] : 0);
  }
  if (kind === "errors" && maps[run]) {
    const [map, colour] = [maps[run], packed(hex(WRONG))];
    return (i, x, y) => (labels[i] >= CLASSES ? (striped(x, y) ? empty : 0) : wrong(map, i) ? colour : 0);
  }
  if (kind === "changes" && maps[0] && maps[1]) {
    const [a, b] = maps;
    const colours = [0, packed(hex(WRONG_BEFORE)), packed(hex(WRONG)), packed(hex(WRONG_IN_BOTH))];
    return (i, x, y) => {
      if (labels[i] >= CLASSES) return striped(x, y) ? empty : 0;
      return colours[(wrong(a, i) ? 1 : 0) + (wrong(b, i) ? 2 : 0)];
    };
  }
  return null;
}

/* A canvas with the layer alone, as large as the label map. */
function painted(picture, key, filter) {
  const canvas = document.createElement("canvas");
  canvas.width = picture.width;
  canvas.height = picture.height;
  const paint = painter(picture, key, filter);
  if (paint === null) return canvas;
  const context = canvas.getContext("2d");
  const data = context.createImageData(picture.width, picture.height);
  const pixels = new Uint32Array(data.data.buffer);
  for (let y = 0, i = 0; y < picture.height; y++) for (let x = 0; x < picture.width; x++, i++) pixels[i] = paint(i, x, y);
  context.putImageData(data, 0, 0);
  return canvas;
}

const ofErrors = (key) => key.startsWith("errors") || key === "changes";

/* The image, grey under errors, so that their colours stand out; plain grey where there is no image. */
function paintBase(context, picture, key) {
  const { width, height } = context.canvas;
  context.fillStyle = ofErrors(key) ? "#e5e5e5" : "#202020";
  context.fillRect(0, 0, width, height);
  if (picture.image === null) return;
  context.filter = ofErrors(key) ? "grayscale(1) contrast(0.7) brightness(1.15)" : "none";
  context.drawImage(picture.image, 0, 0, width, height);
  context.filter = "none";
}

function paintLayer(context, picture, key, filter, opacity, from = 0, to = 1) {
  const { width, height } = context.canvas;
  context.save();
  context.beginPath();
  context.rect(from * width, 0, (to - from) * width, height);
  context.clip();
  paintBase(context, picture, key);
  context.globalAlpha = opacity;
  context.imageSmoothingEnabled = width < picture.width;
  context.drawImage(painted(picture, key, filter), 0, 0, width, height);
  context.restore();
}

/* What the colours of a layer mean: [colour, text]. */
function legendOf(key) {
  if (key.startsWith("errors")) return [[WRONG, "wrong"], [VOID, "not labelled"]];
  if (key !== "changes") return [];
  return [
    [WRONG_BEFORE, `wrong in${letter(0)} only`],
    [WRONG, `wrong in${letter(1)} only`],
    [WRONG_IN_BOTH, "wrong in both"],
    [VOID, "not labelled"],
  ];
}
