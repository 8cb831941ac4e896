// Edges of tiles, with their numbers written in each: a layer of pictures that are drawn here.
import TileLayer from 'ol/layer/Tile.js';
import TileImage from 'ol/source/TileImage.js';

export function edges(tileGrid, projection, label) {
  return new TileLayer({
    zIndex: 10,
    source: new TileImage({
      tileGrid,
      projection,
      wrapX: false,
      transition: 0,
      tileUrlFunction: ([z, x, y]) => label(z, x, y),
      tileLoadFunction: (tile, text) => {
        tile.getImage().src = draw(tileGrid.getTileSize(tile.getTileCoord()[0]), text);
      },
    }),
  });
}

function draw(size, text) {
  const [width, height] = Array.isArray(size) ? size : [size, size];
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext('2d');
  context.strokeStyle = 'rgb(20 32 43 / 55%)';
  context.strokeRect(0.5, 0.5, width, height);
  context.font = '600 13px system-ui, sans-serif';
  const wide = context.measureText(text).width + 16;
  context.fillStyle = 'rgb(20 32 43 / 78%)';
  context.fillRect(0, 0, wide, 24);
  context.fillStyle = '#fff';
  context.fillText(text, 8, 16.5);
  return canvas.toDataURL();
}
