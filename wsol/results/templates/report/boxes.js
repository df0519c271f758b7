// The box of every example at every threshold: looked up, judged, and sorted by kind of error.
function bytes(text) {
  const raw = atob(text), array = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) array[i] = raw.charCodeAt(i);
  return array;
}
function decoded(example) {
  if (!example.decoded) {
    example.decoded = {
      starts: new Uint16Array(bytes(example.starts).buffer),
      boxes: new Int16Array(bytes(example.boxes).buffer),
      ious: new Float32Array(bytes(example.ious).buffer),
    };
  }
  return example.decoded;
}
// The run of thresholds that a threshold belongs to: its box and IoU.
function runAt(example, threshold) {
  const { starts } = decoded(example);
  const at = indexAt(models[example.model].thresholds, threshold);
  let low = 0, high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle] <= at) low = middle; else high = middle - 1;
  }
  return low;
}
const iouAt = (example, threshold) => decoded(example).ious[runAt(example, threshold)];
// IoUs are kept in single precision, so they are compared with the level in it.
function verdict(example) {
  const iou = iouAt(example, state.threshold);
  const level = Math.fround(+state.level);
  return Number.isNaN(iou) ? null : models[example.model].above ? iou > level : iou >= level;
}
// x, y, width, height in shares of the picture, or null where nothing lies above the threshold.
function boxAt(example, threshold) {
  const at = 4 * runAt(example, threshold), { boxes } = decoded(example), [gridX, gridY] = example.grid;
  const x0 = boxes[at], y0 = boxes[at + 1], x1 = boxes[at + 2], y1 = boxes[at + 3];
  if (!(x0 || y0 || x1 || y1)) return null;
  return [x0 / gridX, y0 / gridY, (x1 - x0 + 1) / gridX, (y1 - y0 + 1) / gridY];
}
const KINDS = { several: "several objects", part: "part of the object", more: "more than the object", other: "elsewhere or other" };
// The kinds of error of TS-CAM (Gao et al., ICCV 2021), by their released rules.
function kindOf(example) {
  if (verdict(example) !== false) return null;
  const box = boxAt(example, state.threshold), { truth } = data.images[example.image];
  if (!box || !truth.length) return "other";
  const area = box[2] * box[3];
  let several = 0, best = -1, ofBox = 0, ofTruth = 0;
  for (const [x, y, width, height] of truth) {
    const across = Math.min(box[0] + box[2], x + width) - Math.max(box[0], x);
    const down = Math.min(box[1] + box[3], y + height) - Math.max(box[1], y);
    const shared = Math.max(0, across) * Math.max(0, down), own = width * height;
    if (shared / own > .3) several++;
    const iou = shared / (area + own - shared);
    if (iou > best) { best = iou; ofBox = shared / area; ofTruth = shared / own; }
  }
  return several > 1 ? "several" : ofBox > .5 ? "part" : ofTruth >= .7 ? "more" : "other";
}
const palette = data.images.length ? bytes(data.colours) : null;
const MAP = 28;
function paint(target, example, side) {
  const values = bytes(example.map), context = target.getContext("2d");
  target.width = target.height = side;
  const picture = context.createImageData(side, side);
  for (let y = 0; y < side; y++) {
    const fy = Math.min(MAP - 1, Math.max(0, (y + .5) * MAP / side - .5)), y0 = Math.min(MAP - 2, Math.floor(fy)), dy = fy - y0;
    for (let x = 0; x < side; x++) {
      const fx = Math.min(MAP - 1, Math.max(0, (x + .5) * MAP / side - .5)), x0 = Math.min(MAP - 2, Math.floor(fx)), dx = fx - x0;
      const corner = y0 * MAP + x0;
      const value = Math.round((1 - dy) * ((1 - dx) * values[corner] + dx * values[corner + 1]) +
        dy * ((1 - dx) * values[corner + MAP] + dx * values[corner + MAP + 1]));
      const at = 4 * (y * side + x);
      picture.data[at] = palette[3 * value]; picture.data[at + 1] = palette[3 * value + 1];
      picture.data[at + 2] = palette[3 * value + 2];
      // What is cold stays visible.
      picture.data[at + 3] = 255 * data.strength * Math.min(1, value / 128);
    }
  }
  context.putImageData(picture, 0, 0);
}
// A photograph with its map and boxes; `side` is that of the painted map.
function pictureOf(image, example, side) {
  const [width, height] = image.size || [1, 1];
  const picture = make("span", { class: "picture" });
  picture.style.aspectRatio = `${width} / ${height}`;
  picture.classList.add(width >= height ? "landscape" : "portrait");
  if (image.source) picture.append(make("img", { src: image.source, alt: "", draggable: "false" }));
  if (image.source || !data.photographs) {
    const map = make("canvas", { "aria-hidden": "true" });
    paint(map, example, side);
    picture.append(map);
  } else {
    picture.append(make("span", { class: "gone" }, make("b", {}, "Image not found"), image.file));
  }
  for (const box of image.truth) place(picture.appendChild(make("i", { class: "box truth" })), box);
  picture.predicted = picture.appendChild(make("i", { class: "box predicted" }));
  return picture;
}
function place(node, [x, y, width, height]) {
  const { style } = node;
  style.left = `${100 * x}%`; style.top = `${100 * y}%`;
  style.width = `${100 * width}%`; style.height = `${100 * height}%`;
}
// The predicted box and the words on it, at the slider's threshold.
function renew(picture, words, example) {
  const box = boxAt(example, state.threshold), right = verdict(example);
  picture.predicted.hidden = !box;
  if (box) place(picture.predicted, box);
  const kind = kindOf(example);
  words.textContent = right === null ? "no true box" : !box ? "no box ✗" :
    `IoU ${iouAt(example, state.threshold).toFixed(2)} ${right ? "✓" : `✗ ${kind}`}`;
  words.className = `verdict ${right === null ? "" : right ? "right" : "wrong"}`;
}
function recognized(example) {
  if (example.predicted === null) return "";
  const told = example.right ? "recognized" : `taken for ${example.predicted}`;
  return `${told} (${Math.round(100 * example.score)} %)`;
}
