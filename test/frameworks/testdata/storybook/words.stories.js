export default { title: "Words" };
export const Heading = { render: () => "<h1>first words</h1>" };
