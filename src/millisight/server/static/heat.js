// A class activation map laid over its picture, as POST /explain draws it for image/png.

// The colour map "inferno" at five places, dark to bright.
const RAMP = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
const SIDE = 112;

/** Draw `cells`, rows of numbers, over the part `box` (fractions) of `picture`. */
export function drawHeat(canvas, picture, box, cells) {
  canvas.width = picture.naturalWidth && Math.min(800, picture.naturalWidth);
  canvas.height = Math.round((canvas.width * picture.naturalHeight) / picture.naturalWidth) || 0;
  if (!canvas.height) return;
  const [left, top, right, bottom] = box;
  canvas.getContext("2d").drawImage(
    coloured(cells), left * canvas.width, top * canvas.height,
    (right - left) * canvas.width, (bottom - top) * canvas.height,
  );
}

/** The map enlarged bilinearly and stretched to its own least and greatest value. */
function coloured(cells) {
  const values = [];
  for (let y = 0; y < SIDE; y += 1) {
    for (let x = 0; x < SIDE; x += 1) values.push(between(cells, y, x));
  }
  const least = Math.min(...values);
  const spread = Math.max(...values) - least || 1;
  const image = new ImageData(SIDE, SIDE);
  values.forEach((value, place) => image.data.set(colour((value - least) / spread), 4 * place));
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function between(cells, y, x) {
  const [row, down] = place(y, cells.length);
  const [column, across] = place(x, cells[0].length);
  const mix = (line) => line[column] * (1 - across) + line[Math.min(column + 1, line.length - 1)] * across;
  return mix(cells[row]) * (1 - down) + mix(cells[Math.min(row + 1, cells.length - 1)]) * down;
}

/** The cell before a pixel's middle and how far the pixel is on the way to the next. */
function place(pixel, count) {
  const exact = Math.min(Math.max(((pixel + 0.5) * count) / SIDE - 0.5, 0), count - 1);
  return [Math.floor(exact), exact % 1];
}

function colour(warmth) {
  const exact = warmth * (RAMP.length - 1);
  const below = Math.min(Math.floor(exact), RAMP.length - 2);
  const mixed = RAMP[below].map((value, channel) => value + (RAMP[below + 1][channel] - value) * (exact - below));
  return [...mixed, 255 * warmth];
}
