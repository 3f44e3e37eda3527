/* Pictures: data from the page, or from scripts beside it, and their pixels. */

const about = JSON.parse(document.getElementById("about").textContent);
const CLASSES = about.classes.length; /* the index of void, and of predictions that are no class */
const KEPT = 12; /* decoded pictures in memory */

const decoded = new Map();
const waiting = new Map();

function segablatePicture(index, data) {
  waiting.get(index)(data);
  waiting.delete(index);
}

function dataOf(index) {
  if (!about.folder) return Promise.resolve(JSON.parse(document.getElementById(`data-${index}`).textContent));
  return new Promise((resolve, reject) => {
    waiting.set(index, resolve);
    const script = document.createElement("script");
    script.src = `pictures/${index}.js`;
    script.addEventListener("error", () => reject(new Error(`pictures/${index}.js is missing`)));
    script.addEventListener("load", () => script.remove());
    document.head.append(script);
  });
}

async function imageFrom(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

/* Class indices of a map: grey values, above 255 classes red + 256 green. */
async function indicesFrom(url, width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(await imageFrom(url), 0, 0);
  const pixels = context.getImageData(0, 0, width, height).data;
  const wide = CLASSES > 255;
  const indices = new Uint16Array(width * height);
  for (let i = 0; i < indices.length; i++) indices[i] = wide ? pixels[4 * i] + 256 * pixels[4 * i + 1] : pixels[4 * i];
  return indices;
}

async function decode(index) {
  const [width, height] = about.images[index].size;
  const data = await dataOf(index);
  const [image, labels, ...maps] = await Promise.all([
    data.image === null ? null : imageFrom(data.image),
    indicesFrom(data.labels, width, height),
    ...data.maps.map((url) => (url === null ? null : indicesFrom(url, width, height))),
  ]);
  return { index, width, height, image, labels, maps };
}

/* The decoded picture; pictures that were not needed for long are forgotten. */
function pictureOf(index) {
  const found = decoded.get(index) ?? decode(index);
  decoded.delete(index);
  decoded.set(index, found);
  for (const old of [...decoded.keys()].slice(0, Math.max(0, decoded.size - KEPT))) decoded.delete(old);
  return found;
}

function countWrong(picture, map, counts) {
  let wrong = 0;
  const { labels } = picture;
  for (let i = 0; i < labels.length; i++) if (labels[i] < CLASSES && labels[i] !== map[i] && counts(labels[i], map[i])) wrong++;
  return wrong;
}
