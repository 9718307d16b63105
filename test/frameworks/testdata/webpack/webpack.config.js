export default { mode: "development", entry: "./main.js", devServer: { static: "." } };
