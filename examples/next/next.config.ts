import type { NextConfig } from "next";

const config: NextConfig = {
  // This folder is the app's own root, also inside of a repository with another lock file.
  turbopack: { root: import.meta.dirname },
};

export default config;
