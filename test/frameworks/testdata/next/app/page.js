export default function Page() {
  return <h1>first words</h1>;
}
